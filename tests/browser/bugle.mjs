// The real server, started for a group of stories with an empty data folder of its own, and stopped after it.

import { execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(fileURLToPath(import.meta.url), "../../..");
const BINARY = process.env.BUGLE_BIN ?? join(ROOT, "target/debug/bugle");

/** How long a first start may take: it makes a database cluster. */
const START = 60_000;
/** How long a stop may take: sends on the wire are waited for. */
const STOP = 45_000;

export class Bugle {
  #child;
  #folder;
  #said = "";
  #ended;

  static async start() {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build --bin bugle`);
    const bugle = new Bugle();
    bugle.#folder = mkdtempSync(join(tmpdir(), "bugle-browser-"));
    // The database does not run as root, so it must be able to walk through this folder.
    chmodSync(bugle.#folder, 0o755);
    try {
      await bugle.#run();
    } catch (error) {
      rmSync(bugle.#folder, { recursive: true, force: true });
      throw error;
    }
    return bugle;
  }

  async #run(port = "0") {
    const args = ["serve", "--data-dir", join(this.#folder, "data"), "--port", port, "--demo", "none"];
    const from = this.#said.length;
    this.url = undefined;
    this.#child = spawn(BINARY, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    this.#ended = new Promise((done) => this.#child.once("exit", (code, signal) => done(signal ?? code)));
    await new Promise((ready, fail) => {
      const clock = setTimeout(() => {
        this.#child.kill("SIGKILL");
        fail(new Error(`Bugle did not start in time. It said:\n${this.lastWords(60)}`));
      }, START);
      const listen = (chunk) => {
        this.#said += chunk;
        const words = this.#said.slice(from).replace(/\x1b\[[0-9;]*m/g, "");
        this.url = words.match(/Listening on (http:\/\/\S+?)\/?(?=\s)/)?.[1];
        const [, email, password] = words.match(/Sign in with (\S+) and password (\S+)\s/) ?? [];
        if (email) this.admin = { email, password };
        // Only a first start makes an admin and says the password.
        if (this.url && this.admin) {
          clearTimeout(clock);
          ready();
        }
      };
      this.#child.stdout.setEncoding("utf8").on("data", listen);
      this.#child.stderr.setEncoding("utf8").on("data", listen);
      this.#child.once("error", fail);
      this.#ended.then((how) => {
        clearTimeout(clock);
        fail(new Error(`Bugle ended (${how}) instead of starting. It said:\n${this.lastWords(60)}`));
      });
    });
  }

  /** Asks its database what no page tells, or arranges what none can; answers a line each. */
  ask(sql) {
    const at = ["-h", join(this.#folder, "data/socket"), "-U", "bugle", "-d", "bugle", "-qtAc", sql];
    return execFileSync("psql", at, { encoding: "utf8" }).trim();
  }

  #writings = 0;

  /** Somebody writes to the first channel, as its provider tells it. */
  async hears(from, text) {
    const [id, secret] = this.ask("SELECT id, secret FROM channels ORDER BY id LIMIT 1").split("|");
    const body = JSON.stringify([{ id: `b${(this.#writings += 1)}`, from, text }]);
    const signature = createHmac("sha256", secret).update(body).digest("hex");
    const answer = await fetch(`${this.url}/webhooks/${id}`, {
      method: "POST",
      headers: { "X-Signature-256": signature, "Content-Type": "application/json" },
      body,
    });
    if (answer.status !== 204) throw new Error(`the webhook answered ${answer.status}`);
  }

  /** What it printed last, for a story that failed. */
  lastWords(lines = 20) {
    return this.#said.trimEnd().split("\n").slice(-lines).join("\n");
  }

  /** Stops it, and again starts it on the same data; the address may change. */
  async restart() {
    await this.#end("SIGTERM");
    await this.#run();
  }

  /** As `restart`, but without a chance to tidy up. */
  async crash() {
    await this.#end("SIGKILL");
    await this.#run();
  }

  /** It is gone, until `comesBack` to where it was. */
  async dies() {
    await this.#end("SIGKILL");
  }

  async comesBack() {
    await this.#run(new URL(this.url).port);
  }

  async stop() {
    const how = await this.#end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
    if (how !== 0) throw new Error(`Bugle did not stop cleanly (${how}). It said:\n${this.lastWords()}`);
  }

  async #end(signal) {
    let late = false;
    const clock = setTimeout(() => {
      late = true;
      this.#child.kill("SIGKILL");
    }, STOP);
    this.#child.kill(signal);
    const how = await this.#ended;
    clearTimeout(clock);
    return late ? `still running ${STOP / 1000} s after ${signal}` : how;
  }
}
