import process from "node:process";
import { currentRuntime, type Runtime } from "../../src/demo/runtime.ts";

/** What connectors that tests start run on: `SALLYPORT_TEST_CONNECTOR_RUNTIME`, else what runs the test. */
export function connectorRuntime(): Runtime {
  const asked = process.env.SALLYPORT_TEST_CONNECTOR_RUNTIME ?? "";
  if (asked === "") return currentRuntime;
  if (asked !== "node" && asked !== "deno") throw new Error(`Cannot run connectors on "${asked}"`);
  return asked;
}
