// Bull 4: BullMQ's predecessor, in maintenance.

import { finished, load, main, note, noteLater, redisAddress, settings } from "./driver.mjs";

const Bull = load("bull");
const KEEP = { all: {}, none: { removeOnComplete: true }, "1000": { removeOnComplete: 1000 } };

const queue = new Bull("bench", { redis: redisAddress(), defaultJobOptions: KEEP[settings.keep] });

main({
  ready: () => queue.isReady(),
  add: (data) => queue.add("count", data),
  addMany: (datas) => queue.addBulk(datas.map((data) => ({ name: "count", data }))),
  waiting: () => queue.getWaitingCount(),
  open: () => queue.isReady(),
  work() {
    queue.on("completed", finished);
    const handle = settings.pause ? async (job) => noteLater(job.data) : async (job) => note(job.data);
    return queue.process("count", settings.slots, handle);
  },
});
