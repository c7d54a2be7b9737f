import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';

/** Paths of PEM files. `otherCa` signed nothing: a client that trusts only it must refuse. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly otherCa: string;
}

/** A CA and a server certificate made in place, in plain DER: no openssl on the machine, no private key in the repository. */
export async function makeCertificates(dir: string, hosts: readonly string[]): Promise<Certificates> {
  await mkdir(dir, { recursive: true });
  const authority = issue({ name: 'Tapline test CA', isCa: true });
  const server = issue({ name: hosts[0] ?? 'localhost', hosts, issuer: authority });
  const other = issue({ name: 'Another CA', isCa: true });
  const paths = { ca: join(dir, 'ca.pem'), cert: join(dir, 'server.pem'), key: join(dir, 'server.key'), otherCa: join(dir, 'other-ca.pem') };
  await writeFile(paths.ca, authority.pem);
  await writeFile(paths.cert, server.pem);
  await writeFile(paths.key, server.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(paths.otherCa, other.pem);
  return paths;
}

interface Issued {
  readonly name: string;
  readonly pem: string;
  readonly key: KeyObject;
}

function issue(options: { name: string; isCa?: boolean; hosts?: readonly string[]; issuer?: Issued }): Issued {
  const { name, isCa = false, hosts = [] } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const issuer = options.issuer ?? { name, key: privateKey };
  const ecdsaSha256 = sequence(oid('2a8648ce3d040302'));
  const serial = Buffer.concat([Buffer.from([0x40]), randomBytes(15)]);
  const extensions = [
    extension('551d13', sequence(...(isCa ? [der(0x01, Buffer.from([0xff]))] : [])), true),
    extension('551d0e', der(0x04, createHash('sha1').update(spki).digest())),
    ...(hosts.length ? [extension('551d11', sequence(...hosts.map(alternativeName)))] : []),
  ];
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ecdsaSha256,
    distinguishedName(issuer.name),
    sequence(time('20200101000000Z'), time('21200101000000Z')),
    distinguishedName(name),
    spki,
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, createPrivateKey(issuer.key.export({ type: 'pkcs8', format: 'pem' })));
  const certificate = sequence(body, ecdsaSha256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const base64 = certificate.toString('base64').replace(/.{64}/g, '$&\n');
  return { name, key: privateKey, pem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n` };
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, Buffer.concat(parts));
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const time = (text: string): Buffer => der(0x18, Buffer.from(text));

function distinguishedName(name: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
}

function alternativeName(host: string): Buffer {
  return isIP(host) === 4 ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host));
}
