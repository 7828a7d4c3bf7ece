import { nkeys } from "nats";

type KeyPair = ReturnType<typeof nkeys.createUser>;

/**
 * An operator with one account, as `nsc` would make them: the server's configuration, and credentials for any number of
 * users. JSON web tokens signed by the key one level above.
 */
export class NatsOperator {
  readonly configuration: string;
  readonly #account = nkeys.createAccount();

  constructor() {
    const operator = nkeys.createOperator();
    const operatorToken = token(operator, operator, { type: "operator" });
    const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
    const accountToken = token(operator, this.#account, { type: "account", limits });
    this.configuration =
      `operator: ${operatorToken}\nresolver: MEMORY\n` +
      `resolver_preload: { ${this.#account.getPublicKey()}: ${accountToken} }\n`;
  }

  /** The text of a credentials file. */
  credentials({ deny = [] }: { deny?: string[] } = {}): string {
    const user = nkeys.createUser();
    const rules = { type: "user", pub: { deny }, sub: { deny }, subs: -1, data: -1, payload: -1 };
    return fileText(token(this.#account, user, rules), Buffer.from(user.getSeed()).toString());
  }
}

function token(issuer: KeyPair, subject: KeyPair, rules: object): string {
  const claims = {
    jti: subject.getPublicKey(),
    iat: 1_700_000_000,
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "test",
    nats: { version: 2, ...rules },
  };
  const signed = `${base64url({ typ: "JWT", alg: "ed25519-nkey" })}.${base64url(claims)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function fileText(jwt: string, seed: string): string {
  return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
}
