import type { Connections } from './connections.ts';

/** Where effects were begun, by effect key: the first who asks decides. */
export class PostgresPlaces {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  async claim(effectKey: string, place: string): Promise<string> {
    const [row] = await this.#connections.use((session) =>
      session.prepared<{ place: string }>(
        'place_claim',
        // Writing what is there gives it back, also when another one has just written it.
        `insert into places (effect_key, place) values ($1, $2)
          on conflict (effect_key) do update set place = places.place returning place`,
        [effectKey, place],
      ),
    );
    return row?.place ?? place;
  }

  async forget(effectKey: string): Promise<void> {
    await this.#connections.use((session) =>
      session.prepared('place_forget', 'delete from places where effect_key = $1', [effectKey]),
    );
  }
}
