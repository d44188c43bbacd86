import { lstat, mkdir, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { ApiError } from "./errors.ts";

/** sun_path has 108 bytes including its NUL. */
const MAX_PATH = 107;

/**
 * Listens on a unix socket that only its owner may use: missing directories are created with mode 0700, the socket has
 * 0600 from its creation. A socket file left by a dead process is replaced; one in use is an error.
 */
export async function listenUnix(server: Server, path: string): Promise<void> {
  await clearSocket(path);
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(failed(path, error.code ?? error.message, "", error));
    server.once("error", fail);
    // bind() happens within this call, so the mask never touches another file
    const mask = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.off("error", fail);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

/** Prepares the path of a socket: creates its directory and removes a stale socket. Throws like `listenUnix`. */
export async function clearSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw failed(path, "ENAMETOOLONG", `unix socket paths hold at most ${MAX_PATH} bytes`);
  }
  await makeDirectory(path);
  await removeStale(path);
}

async function makeDirectory(path: string): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { mode } = await lstat(directory);
  if (mode & 0o022) {
    throw failed(path, "EPERM", `others may write to ${directory}: chmod 700 it or choose another --socket`);
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw failed(path, "EEXIST", "a file that is no socket is in the way");
  if (await answers(path)) throw failed(path, "EADDRINUSE", "another agent listens there");
  await unlink(path);
}

/** Whether a process listens on this socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // only ECONNREFUSED proves that no process listens: EAGAIN is a full backlog
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}

function failed(path: string, code: string, why: string, cause?: unknown): ApiError {
  return new ApiError("refused", `listen on ${path}: ${code}${why && ` (${why})`}`, { cause });
}
