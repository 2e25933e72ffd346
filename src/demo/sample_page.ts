import type { IncomingMessage } from "node:http";

/** What the page shows beside the request itself. */
export interface SamplePageFacts {
  /** How often this browser was here before, by its cookie. */
  visits: number;
  /** Fields of a posted form, in order. */
  form?: readonly (readonly [string, string])[];
}

/** The sample application's page: the request as it arrived, and things to try. Links are relative: any prefix works. */
export function samplePage(request: IncomingMessage, { visits, form }: SamplePageFacts): string {
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    headers.push([request.rawHeaders[i], request.rawHeaders[i + 1]]);
  }
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sallyport sample application</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<header>
  <p class="badge">through the tunnel</p>
  <h1>It works.</h1>
  <p>This page comes from an internal web application that listens on a loopback port only. Your request reached the
  broker, crossed the one outbound connection of a connector, and was answered here${seen(visits)}.</p>
</header>
<main>
  <div>
    ${form === undefined ? "" : card("The form, as it arrived", table(form))}
    ${
    card(
      "Your request, as it arrived",
      `<p class="line"><code>${
        escape(`${request.method} ${request.url} HTTP/${request.httpVersion}`)
      }</code></p>
      ${table(headers)}`,
    )
  }
  </div>
  <div>${TO_TRY}</div>
</main>
<script>${SCRIPT}</script>
</html>
`;
}

function seen(visits: number): string {
  return visits === 0
    ? ""
    : `; your browser's cookie says that you were here ${visits === 1 ? "once" : `${visits} times`} before`;
}

function card(title: string, body: string): string {
  return `<section><h2>${title}</h2>${body}</section>`;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([name, value]) => `<tr><th>${escape(name)}</th><td>${escape(value)}</td></tr>`);
  return `<table>${lines.join("")}</table>`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

const TO_TRY = [
  card(
    "Post a form",
    `<form method="post" action="echo">
      <label>Name <input name="name" value="Ada" autocomplete="off"></label>
      <label>Message <input name="message" value="Grüße, ça va?" autocomplete="off"></label>
      <button>Send</button>
    </form>`,
  ),
  card(
    "A clock",
    `<p>Server-sent events, one each second, over one open response:</p><p><code id="clock">waiting</code></p>`,
  ),
  card(
    "A streamed response",
    `<p>Twelve lines in three seconds, each shown when it comes.</p>
    <button id="start" type="button">Start</button><pre id="stream" aria-live="polite"></pre>`,
  ),
].join("");

const STYLE = `
  :root { color-scheme: light dark; --ink: #17222b; --soft: #5a6b78; --line: #d9e1e7; --card: #fff; --page: #f3f6f8; --accent: #0b7a75 }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6edf2; --soft: #9db0bd; --line: #2b3943; --card: #18222a; --page: #10171c; --accent: #4cc9c0 }
  }
  * { box-sizing: border-box }
  body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
  header, main { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem }
  header { padding-top: 3rem } header p { max-width: 44rem; color: var(--soft) }
  h1 { margin: .2rem 0; font-size: 2.6rem; letter-spacing: -.02em } h2 { margin: 0 0 .75rem; font-size: 1.05rem }
  header .badge { display: inline-block; margin: 0; padding: .1rem .7rem; border-radius: 1rem; background: var(--accent);
    color: var(--page); font-size: .8rem; font-weight: 600 }
  main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem;
    align-items: start; padding-bottom: 3rem; padding-top: 1rem }
  main > div { display: grid; gap: 1rem; min-width: 0 }
  section { min-width: 0; padding: 1.25rem; border: 1px solid var(--line); border-radius: .75rem; background: var(--card) }
  section p { margin: 0 0 .75rem; color: var(--soft) }
  table { width: 100%; border-collapse: collapse; font-size: .85rem }
  th, td { padding: .3rem .5rem .3rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top }
  th { width: 11rem; font-weight: 600; white-space: nowrap } td { overflow-wrap: anywhere; font-family: ui-monospace, monospace }
  code, pre { font-family: ui-monospace, monospace; font-size: .9rem; color: var(--ink) }
  pre { min-height: 1.5em; margin: .75rem 0 0; overflow: auto; white-space: pre-wrap }
  form { display: grid; gap: .75rem } label { display: grid; gap: .2rem; font-size: .85rem; color: var(--soft) }
  input { padding: .5rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--page); color: var(--ink); font: inherit }
  button { justify-self: start; padding: .5rem 1.1rem; border: 0; border-radius: .4rem; background: var(--accent);
    color: var(--page); font: inherit; font-weight: 600; cursor: pointer }
`;

const SCRIPT = `
  const clock = document.getElementById("clock");
  const events = new EventSource("clock");
  events.onmessage = (event) => { clock.textContent = event.data; };
  events.onerror = () => { clock.textContent = "connection lost, trying again"; };
  const start = document.getElementById("start");
  const out = document.getElementById("stream");
  start.onclick = async () => {
    start.disabled = true;
    out.textContent = "";
    try {
      const { body } = await fetch("stream");
      for await (const text of body.pipeThrough(new TextDecoderStream())) out.textContent += text;
    } catch (error) {
      out.textContent += "broken off: " + error.message;
    }
    start.disabled = false;
  };
`;
