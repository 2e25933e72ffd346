import { spawn } from "node:child_process";
import type { X509Certificate } from "node:crypto";
import { isIssuedBy, readCertificates, validity } from "../../platform/certificate.ts";
import { createUnsignedCertificate, unsignedPart } from "../../platform/x509.ts";
import type { Authorities, AuthorityState, Leaf } from "./authorities.ts";
import { parseCertificatesFile, readCertificatesFile } from "./certificates_file.ts";
import { CaError } from "./errors.ts";

/** How an authority elsewhere is reached. */
export interface ExternalAuthoritiesOptions {
  /** Program and arguments; started as it stands, never by a shell. */
  command: readonly string[];
  /** PEM file: the issuing certificate first, then roots and former issuing certificates in any order. Read again when it changes. */
  certificates: string;
  /** Time for one signature, milliseconds. */
  timeoutMs: number;
  clock: { now(): number };
}

const MOST_OUTPUT_BYTES = 64 * 1024;

/**
 * An authority whose key is elsewhere, e.g. in an HSM: the command gets a TBSCertificate (DER, in PEM with the label
 * `TBS CERTIFICATE`) on its standard input and answers with the signed certificate, PEM, on its standard output.
 */
export class ExternalAuthorities implements Authorities {
  readonly #options: ExternalAuthoritiesOptions;
  #text: string;
  #state: AuthorityState;

  private constructor(options: ExternalAuthoritiesOptions, text: string) {
    this.#options = options;
    this.#text = text;
    this.#state = this.#read(text);
  }

  /** Reads the certificates. Throws `CaError`. */
  static async open(options: ExternalAuthoritiesOptions): Promise<ExternalAuthorities> {
    return new ExternalAuthorities(options, await readCertificatesFile(options.certificates));
  }

  get state(): AuthorityState {
    return this.#state;
  }

  async sign(leaf: Leaf): Promise<string> {
    const { issuing } = this.#state;
    const wanted = await createUnsignedCertificate(leaf, issuing);
    const base64 = wanted.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
    const answer = await this.#run(
      `-----BEGIN TBS CERTIFICATE-----\n${base64}\n-----END TBS CERTIFICATE-----\n`,
    );
    let signed: X509Certificate;
    try {
      [signed] = readCertificates(answer);
      if (!unsignedPart(signed.raw).equals(wanted)) {
        throw new Error("it is not the certificate that was asked for");
      }
      if (!isIssuedBy(signed, issuing)) throw new Error("it is not signed by the issuing certificate");
    } catch (cause) {
      throw this.#failed(
        `its answer cannot be used: ${cause instanceof Error ? cause.message : cause}`,
        cause,
      );
    }
    return `${signed.toString().trimEnd()}\n`;
  }

  async tend(): Promise<boolean> {
    const text = await readCertificatesFile(this.#options.certificates);
    if (text === this.#text) {
      this.#checkDates(this.#state);
      return false;
    }
    this.#state = this.#read(text);
    this.#text = text;
    return true;
  }

  #run(input: string): Promise<string> {
    const [program = "", ...args] = this.#options.command;
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        stdio: ["pipe", "pipe", "inherit"],
        shell: false,
        windowsHide: true,
      });
      const chunks: Buffer[] = [];
      let length = 0;
      const fail = (state: string, cause?: unknown): void => {
        clearTimeout(timer);
        child.kill("SIGKILL");
        reject(this.#failed(state, cause));
      };
      const { timeoutMs } = this.#options;
      const timer = setTimeout(() => fail(`it did not answer within ${timeoutMs} ms`), timeoutMs);
      child.once("error", (cause) => fail(cause.message, cause));
      child.stdin.on("error", () => {}); // It may know enough before it has read all; how it ends counts.
      child.stdout.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > MOST_OUTPUT_BYTES) return fail("its answer is too long");
        chunks.push(chunk);
      });
      child.once("close", (code, signal) => {
        if (code !== 0) {
          return fail(`it ended with ${code === null ? `signal ${signal}` : `exit code ${code}`}`);
        }
        clearTimeout(timer);
        resolve(Buffer.concat(chunks).toString("utf8"));
      });
      child.stdin.end(input);
    });
  }

  #read(text: string): AuthorityState {
    const { certificates: path, clock } = this.#options;
    const { issuing, root, roots, all } = parseCertificatesFile(text, path);
    const anchors = [root, ...roots.filter((one) => one !== root && validity(one).notAfter > clock.now())];
    const issuers = all.filter((one) => one.ca && anchors.some((anchor) => isIssuedBy(one, anchor)));
    const state = { issuing, root, anchors, issuers };
    this.#checkDates(state);
    return state;
  }

  #checkDates({ root, issuing }: AuthorityState): void {
    const now = this.#options.clock.now();
    if (validity(root).notAfter > now && validity(issuing).notAfter > now) return;
    const { certificates } = this.#options;
    throw new CaError("ca_expired", `Cannot use the certificates in "${certificates}": they have expired`);
  }

  #failed(state: string, cause?: unknown): CaError {
    const [program = ""] = this.#options.command;
    return new CaError("ca_sign_failed", `Cannot sign with "${program}": ${state}`, {
      cause,
      retryable: true,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
