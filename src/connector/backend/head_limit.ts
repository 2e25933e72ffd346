/** Longest head of a backend's response, in bytes, whichever adapter reads it. */
export const MAX_RESPONSE_HEAD_BYTES: number = 64 * 1024;
