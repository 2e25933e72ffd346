/** A process that logs as fast as it is asked to, and answers on standard output. See `tests/system/logging.test.ts`. */
import { createInterface } from "node:readline";
import { createLogging } from "../../../src/platform/logging.ts";

const logging = createLogging({ level: "info", format: "json", sessionLog: true });

createInterface({ input: process.stdin }).on("line", (line) => {
  const [command, count] = line.split(" ");
  if (command === "log") {
    for (let i = 0; i < Number(count); i++) {
      logging.log.info("A line of a hundred and some characters", { i });
    }
  }
  process.stdout.write(`${JSON.stringify({ lost: logging.lost, rss: process.memoryUsage.rss() })}\n`);
}).on("close", async () => {
  await logging.flush();
  process.exitCode = 0;
});
