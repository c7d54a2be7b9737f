import { createServer, type AddressInfo } from 'node:net';

/** A port on the loopback that was free a moment ago: whoever binds it tries again with another if it is not any more. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
