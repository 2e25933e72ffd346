import type { Command } from "commander";
import { addCommand } from "../command.ts";
import { addBrokerOptions, localConfiguration } from "../configuration.ts";
import type { CliContext } from "../context.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** `run`. Its flags are added when it is chosen: `prepareRunCommand`. */
export function addRunCommand(program: Command, context: CliContext): void {
  addCommand(program, {
    usage: "run",
    about: "run the broker until it is stopped by SIGINT or SIGTERM",
    example: "sallyport-broker run --config /etc/sallyport/broker.yaml",
  })
    .option("--json", "print one JSON line on standard output when ready")
    .action(async ({ json, ...flags }: { json?: boolean }) => {
      const config = await localConfiguration(flags, context);
      const { runBroker } = await import("../../run.ts");
      const controller = new AbortController();
      // Each is heard once: a second signal ends the process at once, as people expect of Ctrl-C.
      const stop = () => controller.abort();
      for (const signal of SIGNALS) process.once(signal, stop);
      try {
        await runBroker(config, { json: json ?? false, signal: controller.signal, env: context.env });
      } finally {
        for (const signal of SIGNALS) process.off(signal, stop);
      }
    });
}

/** Adds a flag for each configuration key to `run`. */
export const prepareRunCommand = addBrokerOptions;
