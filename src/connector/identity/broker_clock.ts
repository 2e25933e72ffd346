import { RegistrationError } from "./errors.ts";

/** Clocks that differ by no more than this are as good as equal: certificates begin so much in the past. */
const TOLERANCE_MS = 300_000;

/** Throws `clock_wrong` where the broker's clock, milliseconds since the epoch, and this host's are too far apart. */
export function checkClock(brokerTime: number, now: number = Date.now()): void {
  const offsetMs = now - brokerTime;
  if (brokerTime <= 0 || Math.abs(offsetMs) <= TOLERANCE_MS) return;
  throw clockWrong(
    `this host's clock is ${inWords(Math.abs(offsetMs))} ${
      offsetMs > 0 ? "ahead of" : "behind"
    } the broker's`,
    { offsetMs, brokerTime: new Date(brokerTime).toISOString(), localTime: new Date(now).toISOString() },
  );
}

/** Throws `clock_wrong` where a certificate that is the broker's own is not valid by this host's clock. */
export function checkValidity(
  { notBefore, notAfter }: { notBefore: number; notAfter: number },
  now: number = Date.now(),
): void {
  if (notBefore <= now && now < notAfter) return;
  const [from, until, localTime] = [notBefore, notAfter, now].map((at) => new Date(at).toISOString());
  throw clockWrong(
    `the broker's certificate is valid from ${from} to ${until}, and this host's clock says ${localTime}`,
    { notBefore: from, notAfter: until, localTime },
  );
}

/** The error for clocks that differ. */
export function clockWrong(
  state: string,
  details: Record<string, unknown> = {},
  cause?: unknown,
): RegistrationError {
  return new RegistrationError(
    "clock_wrong",
    `Cannot register: ${state}; set the clock (NTP), then try again`,
    {
      cause,
      details: { step: "clock", ...details },
    },
  );
}

function inWords(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
}
