// Bull Board over the given queues, as its own guide sets it up, until it is killed.

import { createRequire } from "node:module";

const load = createRequire(`${process.env.PEER_HOME}/`);
const express = load("express");
const { Queue } = load("bullmq");
const { createBullBoard } = load("@bull-board/api");
const { BullMQAdapter } = load("@bull-board/api/bullMQAdapter");
const { ExpressAdapter } = load("@bull-board/express");

const { url, queues } = JSON.parse(process.argv[2]);
const { hostname, port } = new URL(url);
const { default: Redis } = await import(load.resolve("ioredis"));
const connection = new Redis({ host: hostname, port: Number(port), maxRetriesPerRequest: null });
const serverAdapter = new ExpressAdapter();
serverAdapter.setBasePath("/");
createBullBoard({ queues: queues.map((name) => new BullMQAdapter(new Queue(name, { connection }))), serverAdapter });
const application = express();
application.use("/", serverAdapter.getRouter());
const server = application.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
