/** Bytes of a frame header: kind (1), payload length (3), exchange number (4), big endian. */
export const FRAME_HEADER_BYTES = 8;

/** Largest payload of a data frame. */
export const MAX_DATA_BYTES = 256 * 1024;

/**
 * Largest payload of a request, informational or response frame: a head of 64 KiB, of which every byte may be one that
 * takes two in UTF-8, and what MessagePack and the other fields add.
 */
export const MAX_HEAD_BYTES = 144 * 1024;

/** Largest trailers of an `end`. */
export const MAX_TRAILER_BYTES = 64 * 1024;

/** Largest payload of an `abort`. */
export const MAX_ABORT_BYTES = 1024;

/** Longest code that is sent in an `abort`, characters. */
export const MAX_ABORT_CODE = 64;

/** Largest control message. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Longest certificate request, PEM characters. */
export const MAX_CSR_CHARACTERS = 16 * 1024;

/** Longest list of certificates in a message, PEM characters. */
export const MAX_CERTIFICATES_CHARACTERS = 128 * 1024;

/** How deep MessagePack may nest. */
export const MAX_DEPTH = 16;

/** Names plus values in one header list. */
export const MAX_HEADER_STRINGS = 2 * 256;

/** Most informational responses of one exchange: they need no credit, so that their number is what bounds them. */
export const MAX_INFORMATIONAL = 64;

/** Data bytes that each direction of an exchange may send before it has been given any credit. */
export const INITIAL_CREDIT = 128 * 1024;

/**
 * A sender may stop with less credit than this: most of its next piece would wait, with all the memory that it is a part of.
 * So a receiver that has passed on all that came leaves it no less.
 */
export const LEAST_CREDIT = 16 * 1024;

/** Most data bytes that one direction of an exchange may have outstanding. */
export const MAX_CREDIT = 8 * 1024 * 1024;

/**
 * HTTP/2 stream window of a lane: so far above the largest credit that it never fills, and an `abort` always finds room.
 * Twice, because a receiver may give back a window only when half of it is used.
 */
export const STREAM_WINDOW = 2 * MAX_CREDIT + 512 * 1024;

/** Largest exchange number; after it the broker retires the lane. */
export const MAX_EXCHANGE = 0xffff_ffff;

/**
 * How long a side waits for the peer's terminal frame after an abort before it destroys the lane, milliseconds. The frame
 * may come behind seconds of bulk, or from a host that stood still for as long; a dead tunnel is noticed otherwise.
 */
export const ABORT_ANSWER_MS = 10_000;
