// BullMQ on Node.

import { finished, load, main, note, noteLater, now, percentile, redisAddress, settings } from "./driver.mjs";

const { Queue, Worker } = load("bullmq");
const address = redisAddress();
const connection = settings.client === "node-redis" ? await nodeRedis() : address;

/** By default BullMQ keeps every completed job. */
const KEEP = { all: {}, none: { removeOnComplete: { count: 0 } }, "1000": { removeOnComplete: { count: 1000 } } };

let queue, worker;

/** Its other client: less work per bulk, more per job of a worker. */
async function nodeRedis() {
  const client = load("redis").createClient({ socket: address });
  await client.connect();
  return client;
}

/** The milliseconds of many calls: two percentiles, as backlog.py gives them. */
function percentiles(name, values) {
  const ordered = values.sort((a, b) => a - b);
  return { [`${name}_p50`]: percentile(ordered, 0.5), [`${name}_p99`]: percentile(ordered, 0.99) };
}

main({
  async ready() {
    queue = new Queue("bench", { connection });
    await queue.waitUntilReady();
  },
  add: (data) => queue.add("count", data),
  addMany: (datas) => queue.addBulk(datas.map((data) => ({ name: "count", data }))),
  waiting: () => queue.getWaitingCount(),

  async open() {
    const handle = settings.pause ? async (job) => noteLater(job.data) : async (job) => note(job.data);
    worker = new Worker("bench", handle, {
      connection, concurrency: settings.slots, autorun: false, ...KEEP[settings.keep],
    });
    worker.on("completed", finished);
    await worker.waitUntilReady();
  },
  work: () => worker.run(),

  /** Add one, claim one, settle it, again and again, with so many jobs waiting meanwhile. */
  async backlog() {
    worker = new Worker("bench", null, { connection, autorun: false });
    const adds = [], claims = [];
    const milliseconds = (from) => Number(now() - from) / 1e6;
    for (let i = 0; i < settings.samples; i += 1) {
      const start = now();
      await queue.add("count", { i });
      adds.push(milliseconds(start));
      const added = now();
      const job = await worker.getNextJob(`bench-${i}`);
      claims.push(milliseconds(added));
      await job.moveToCompleted(null, `bench-${i}`, false);
    }
    return { ...percentiles("add", adds), ...percentiles("claim", claims) };
  },
});
