/** Stands between a client and a server on this machine, and breaks connections at a chosen point. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * - `request`: what the client sends next does not arrive.
 * - `reply`: it arrives, and the server's answer does not.
 */
export type Break = 'request' | 'reply';

export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #break: Break | undefined;
  /** How many breaks happened. */
  breaks = 0;

  static async before(port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const upstream = connect(port, '127.0.0.1');
      let isAsked = false;
      const cut = (): void => {
        this.#break = undefined;
        this.breaks += 1;
        client.destroy();
        upstream.destroy();
      };
      client.on('data', (bytes) => {
        if (this.#break === 'request') return cut();
        isAsked = this.#break === 'reply';
        upstream.write(bytes);
      });
      upstream.on('data', (bytes) => (isAsked ? cut() : client.write(bytes)));
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Breaks the next exchange on any connection, once. */
  breakNext(what: Break): void {
    this.#break = what;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
