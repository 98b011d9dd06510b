import { blobStoreContract } from '../../contracts/blob-store.ts';
import { runStoreContract } from '../../contracts/run-store.ts';
import { describePostgres, PostgresRig } from './rig.ts';

describePostgres('PostgreSQL', (server) => {
  runStoreContract('PostgresRunStore', async () => {
    const rig = new PostgresRig(server().address());
    const { runs } = await rig.open();
    return { store: runs, another: async () => (await rig.open()).runs, close: () => rig.close() };
  });

  blobStoreContract('PostgresBlobs', async () => {
    const rig = new PostgresRig(server().address());
    const { schema } = rig.address;
    const { blobs } = await rig.open();
    return {
      blobs,
      another: async () => (await rig.open()).blobs,
      damage: async (sha256, bytes) => {
        await server().query(`update ${schema}.blobs set bytes = $2 where sha256 = $1`, [
          sha256,
          Buffer.from(bytes),
        ]);
      },
      count: async () => {
        const [row] = await server().query<{ count: string }>(
          `select count(distinct sha256) from ${schema}.blobs`,
        );
        return Number(row?.count);
      },
      close: () => rig.close(),
    };
  });
});
