/** Takes a socket from the driver's parser, and gives it back between two statements. */
import type { Socket } from 'node:net';

type DataListener = (chunk: Buffer) => void;

export interface TakeoverHandler {
  data(chunk: Buffer): void;
  /** The connection is gone; `undefined`: closed without an error of the socket. */
  lost(error: Error | undefined): void;
}

/** Returns what gives the socket back. */
export function takeOver(socket: Socket, handler: TakeoverHandler): () => void {
  const drivers = socket.listeners('data') as DataListener[];
  const onData: DataListener = (chunk) => handler.data(chunk);
  const onError = (error: Error): void => handler.lost(error);
  const onClose = (): void => handler.lost(undefined);
  socket.removeAllListeners('data');
  socket.on('data', onData).on('error', onError).on('close', onClose);
  return () => {
    socket.off('data', onData).off('error', onError).off('close', onClose);
    for (const driver of drivers) socket.on('data', driver);
  };
}
