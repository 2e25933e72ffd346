/** What an error may be written as. */
export type ErrorFormat = "html" | "problem";

/** Longest `Accept` that is looked at, in characters; browsers send about 150. */
const LONGEST = 1_024;

/**
 * HTML for those who ask for it by name at least as much as for JSON, which is browsers; problem+json (RFC 9457) for
 * all others, `*` + `/*` of scripts included (RFC 9110 section 12.5.1).
 */
export function formatFor(accept: string | undefined): ErrorFormat {
  if (accept === undefined) return "problem";
  let html = 0;
  let json = 0;
  for (const range of accept.slice(0, LONGEST).toLowerCase().split(",")) {
    const [type, ...parameters] = range.split(";").map((part) => part.trim());
    const q = quality(parameters);
    if (type === "text/html" || type === "text/*" || type === "application/xhtml+xml") {
      html = Math.max(html, q);
    } else if (
      type === "application/json" || type === "application/problem+json" || type === "application/*"
    ) {
      json = Math.max(json, q);
    }
  }
  return html > 0 && html >= json ? "html" : "problem";
}

function quality(parameters: readonly string[]): number {
  const given = parameters.find((parameter) => parameter.startsWith("q="));
  if (given === undefined) return 1;
  const q = Number(given.slice(2));
  return q >= 0 && q <= 1 ? q : 0;
}
