import { ConfigurationError } from "../../platform/errors.ts";
import { CaKeyError } from "../ca/errors.ts";
import { CertificateError } from "../ingress/certificate_errors.ts";
import { AdminApiError, UsageError } from "./errors.ts";

const CONFIGURATION = [UsageError, ConfigurationError, CaKeyError, CertificateError];

/** 2 where the command line or the configuration has to change, else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  if (CONFIGURATION.some((kind) => error instanceof kind)) return 2;
  return error instanceof AdminApiError && error.code === "invalid_request" ? 2 : 1;
}
