// Bull Board over the given queues, on a port of the system's choosing.

import { createRequire } from 'node:module';
import express from 'express';

const require = createRequire(import.meta.url);
const { createBullBoard } = require('@bull-board/api');
const { BullMQAdapter } = require('@bull-board/api/bullMQAdapter');
const { ExpressAdapter } = require('@bull-board/express');

export async function board(queues, made, as) {
  const adapter = new ExpressAdapter();
  adapter.setBasePath('/');
  createBullBoard({ queues: queues.map(([, queue]) => new BullMQAdapter(queue)), serverAdapter: adapter });
  const application = express();
  application.use('/', adapter.getRouter());
  const server = await new Promise((resolve) => {
    const listening = application.listen(0, '127.0.0.1', () => resolve(listening));
  });
  const close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  made.set(as, { object: { close }, runs: [], events: [], errors: [], waiting: [] });
  return server.address().port;
}
