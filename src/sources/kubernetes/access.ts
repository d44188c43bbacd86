import { createSecureContext } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import { type ConfigOptions, findPlace, type KubernetesConfig, type Place, readPlace } from "./config.ts";
import { Reading } from "./files.ts";
import { KubernetesConfigError } from "./kubeconfig.ts";

/** How to reach an API, determined before each request. */
export interface Access {
  /** Returns the same object as long as nothing has changed. */
  current(): KubernetesConfig;
  /** Why `current` returns an outdated configuration; undefined if it does not. */
  readonly trouble: string | undefined;
}

/** An access that never changes. */
export const fixedAccess = (config: KubernetesConfig): Access => ({ current: () => config, trouble: undefined });

/**
 * Finds the API, and follows changes of all files involved: kubeconfig, certificates, keys, tokens.
 * @throws KubernetesConfigError
 */
export function openAccess(options: ConfigOptions): Access {
  return new FileAccess(options);
}

/**
 * The location of the API is determined once. Its files are read again when they change. If they are unusable (partly
 * written, briefly missing, a key that does not match the certificate), the last valid state stays in use.
 */
class FileAccess implements Access {
  trouble: string | undefined;
  readonly #options: ConfigOptions;
  readonly #place: Place;
  #reading = new Reading();
  #good: KubernetesConfig;

  constructor(options: ConfigOptions) {
    this.#options = options;
    this.#place = findPlace(options, this.#reading.read);
    this.#good = this.#read();
  }

  current(): KubernetesConfig {
    if (this.#reading.isOld) this.#again();
    return this.#good;
  }

  #again(): void {
    this.#reading = new Reading();
    try {
      const next = this.#read(this.#good.context);
      if (!isDeepStrictEqual(next, this.#good)) this.#good = next;
      this.trouble = undefined;
    } catch (error) {
      this.trouble = `${(error as Error).message}; the previous state stays in use`;
    }
  }

  #read(context?: string): KubernetesConfig {
    const config = readPlace(this.#place, this.#options, this.#reading.read, context);
    checkTls(config);
    return config;
  }
}

/** Checks that certificate and key are complete and match. */
function checkTls({ server, origin, tls: { ca, cert, key } }: KubernetesConfig): void {
  if (!server.startsWith("https:")) return;
  try {
    createSecureContext({ ca, cert, key });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isOther = code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH";
    const why = isOther ? "the key belongs to another certificate" : message;
    throw new KubernetesConfigError(`use the client certificate of ${origin}: ${why}`, error);
  }
}
