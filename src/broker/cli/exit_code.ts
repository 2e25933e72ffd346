import { ConfigurationError } from "../../platform/errors.ts";
import { CaKeyError } from "../ca/errors.ts";
import { AdminApiError, UsageError } from "./errors.ts";

/** 2 where the command line or the configuration has to change, else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  if (error instanceof UsageError || error instanceof ConfigurationError || error instanceof CaKeyError) {
    return 2;
  }
  return error instanceof AdminApiError && error.code === "invalid_request" ? 2 : 1;
}
