/** One member of a tar archive in a test. */
export interface Member {
  path: string;
  type?: string | undefined;
  data?: string | Buffer | undefined;
  link?: string | undefined;
  mode?: number | undefined;
}

/** Makes a ustar archive of exactly these members, malformed ones too. */
export function makeTar(members: readonly Member[]): Buffer {
  return Buffer.concat([...members.map(block), Buffer.alloc(1024)]);
}

function block({ path, type = "0", data = "", link = "", mode = 0o644 }: Member): Buffer {
  const body = Buffer.from(data);
  const header = Buffer.alloc(512);
  header.write(path, 0, 100);
  header.write(mode.toString(8).padStart(7, "0"), 100);
  header.write(body.length.toString(8).padStart(11, "0"), 124);
  header.write("        ", 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write("ustar\0", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}
