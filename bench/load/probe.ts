import { Agent, get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** Short requests, one at a time on one keep-alive connection. */
export interface ProbeOptions {
  url: string;
  /** Pause between two, in milliseconds. */
  everyMs: number;
  /** For how long, in milliseconds. */
  forMs: number;
}

/** Milliseconds from asking to the head of each response; rejects when one is not 200. */
export async function probe({ url, everyMs, forMs }: ProbeOptions): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const until = performance.now() + forMs;
  const times: number[] = [];
  try {
    // The first one pays for the connection.
    await one(url, agent);
    do {
      times.push(await one(url, agent));
      await delay(everyMs);
    } while (performance.now() < until);
    return times;
  } finally {
    agent.destroy();
  }
}

function one(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const request = get(url, { agent }, (response) => {
      const ms = performance.now() - started;
      if (response.statusCode !== 200) reject(new Error(`answered ${response.statusCode}`));
      response.resume();
      response.once("error", reject);
      response.once("end", () => resolve(ms));
    });
    request.once("error", reject);
  });
}
