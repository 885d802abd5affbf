// Plays BullMQ for the tests: one JSON request a line on stdin, one JSON answer a line on stdout.
//
//   {"id": 1, "do": "make", "kind": "Queue", "major": 6, "as": "q", "name": "mail", "opts": {…}}
//   {"id": 2, "do": "call", "on": "q", "method": "add", "args": ["welcome", {"to": 7}]}
//   {"id": 2, "ok": {"id": "1", "name": "welcome", …}}      or      {"id": 2, "error": {"name": …, "message": …}}
//
// An argument {"$": "q"} stands for the object made as "q", {"$error": {…}} for an error. Long waits belong to the
// caller: requests run side by side and the driver never times out by itself.

import { createInterface } from 'node:readline';
import * as bullmq5 from 'bullmq5';
import * as bullmq6 from 'bullmq';
import { board } from './board.mjs';
import { behaviour } from './behaviour.mjs';

const LIBRARIES = { 5: bullmq5, 6: bullmq6 };
const made = new Map(); // "as" -> {object, library, runs, events, errors, waiting}

const FACTS = [
  'id', 'name', 'data', 'opts', 'progress', 'returnvalue', 'failedReason', 'stacktrace', 'attemptsMade', 'attemptsStarted',
  'stalledCounter', 'timestamp', 'processedOn', 'finishedOn', 'delay', 'priority', 'processedBy', 'parentKey', 'parent',
  'repeatJobKey', 'deduplicationId', 'deferredFailure', 'queueName',
];

// What an object looks like on the other side: jobs as their facts, everything else as JSON has it.
function show(value) {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map(show);
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? null : value;
  if (typeof value.moveToCompleted === 'function') return Object.fromEntries(FACTS.map((key) => [key, value[key] ?? null]));
  if (value instanceof Map || value instanceof Set) return show([...value]);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, show(one)]));
}

function named(as) {
  const one = made.get(as);
  if (!one) throw new Error(`nothing was made as ${as}`);
  return one;
}

function meant(argument, library) {
  if (Array.isArray(argument)) return argument.map((one) => meant(one, library));
  if (argument === null || typeof argument !== 'object') return argument;
  if ('$' in argument) return named(argument.$).object;
  if ('$error' in argument) {
    const kind = argument.$error.unrecoverable ? library.UnrecoverableError : Error;
    return new kind(argument.$error.message);
  }
  return argument;
}

// Wakes those who wait for a count of runs or for an event.
function tell(one) {
  one.waiting = one.waiting.filter((wake) => !wake());
}

function until(one, look) {
  return new Promise((resolve) => {
    const wake = () => {
      const found = look();
      if (found === undefined) return false;
      resolve(found);
      return true;
    };
    if (!wake()) one.waiting.push(wake);
  });
}

function watch(one) {
  one.object.on('error', (error) => one.errors.push(`${error.name}: ${error.message}`));
}

const EVENTS = [
  'active', 'added', 'cleaned', 'completed', 'deduplicated', 'delayed', 'drained', 'duplicated', 'failed', 'paused',
  'progress', 'removed', 'resumed', 'retries-exhausted', 'shipped', 'stalled', 'waiting', 'waiting-children',
];

const MAKERS = {
  Queue: (library, request) => new library.Queue(request.name, request.opts),
  QueueEventsProducer: (library, request) => new library.QueueEventsProducer(request.name, request.opts),
  FlowProducer: (library, request) => new library.FlowProducer(request.opts),
  QueueEvents(library, request, one) {
    const events = new library.QueueEvents(request.name, request.opts);
    for (const event of EVENTS) {
      events.on(event, (fields, cursor) => {
        one.events.push({ event, ...(typeof fields === 'object' ? fields : {}), at: cursor ?? fields });
        tell(one);
      });
    }
    return events;
  },
  Worker(library, request, one) {
    const run = behaviour(library, request.script, one);
    const worker = new library.Worker(
      request.name,
      async (job, token) => {
        one.runs.push({ id: job.id, name: job.name, data: job.data, attemptsMade: job.attemptsMade, opts: job.opts });
        tell(one);
        return run(job, token, worker);
      },
      request.opts,
    );
    for (const event of ['completed', 'failed', 'stalled']) {
      worker.on(event, (job) => {
        one.events.push({ event, jobId: typeof job === 'string' ? job : job?.id });
        tell(one);
      });
    }
    return worker;
  },
};

async function make(request) {
  const library = LIBRARIES[request.major];
  const one = { library, runs: [], events: [], errors: [], waiting: [], held: [], released: false };
  one.object = MAKERS[request.kind](library, request, one);
  made.set(request.as, one);
  watch(one);
  if (!request.kind.endsWith('Producer')) await one.object.waitUntilReady();
  return null;
}

async function call(request) {
  const one = named(request.on);
  const args = (request.args ?? []).map((argument) => meant(argument, one.library));
  const answer = await one.object[request.method](...args);
  if (request.as && answer) made.set(request.as, { object: answer, library: one.library, runs: [], events: [], errors: [], waiting: [] });
  return show(answer);
}

async function job(request) {
  const { object, library } = named(request.on);
  const found = await object.getJob(request.job);
  if (!found) throw new Error(`queue ${object.name} has no job ${request.job}`);
  const args = (request.args ?? []).map((argument) => meant(argument, library));
  return show(await found[request.method](...args));
}

// Takes jobs one by one and runs the worker's script on each, without the worker's own loop.
async function serve(request) {
  const one = named(request.on);
  for (let turn = 1; turn <= request.count; turn += 1) {
    const token = `turn-${turn}-${process.hrtime.bigint()}`;
    const found = await one.object.getNextJob(token, { block: false });
    if (!found) return turn - 1;
    await one.object.processJob(found, token, () => false);
  }
  return request.count;
}

function matches(entry, wanted) {
  return Object.entries(wanted).every(([key, value]) => JSON.stringify(entry[key]) === JSON.stringify(value));
}

const ORDERS = {
  make,
  call,
  job,
  serve,
  board: (request) => board(request.majors.map(([major, as]) => [major, named(as).object]), made, request.as),
  runs: (request) => named(request.on).runs,
  awaitRuns(request) {
    const one = named(request.on);
    return until(one, () => (one.runs.length >= request.count ? one.runs : undefined));
  },
  events: (request) => named(request.on).events,
  awaitEvent(request) {
    const one = named(request.on);
    return until(one, () => one.events.find((entry) => matches(entry, request.match)));
  },
  release(request) {
    const one = named(request.on);
    one.released = true;
    for (const go of one.held.splice(0)) go();
    return null;
  },
  errors: (request) => named(request.on).errors,
  async close(request) {
    const one = named(request.on);
    made.delete(request.on);
    await one.object.close(...(request.force ? [true] : []));
    return one.errors;
  },
};

function answer(id, fields) {
  process.stdout.write(`${JSON.stringify({ id, ...fields })}\n`);
}

async function obey(line) {
  const request = JSON.parse(line);
  try {
    answer(request.id, { ok: show(await ORDERS[request.do](request)) });
  } catch (error) {
    answer(request.id, { error: { name: error.name, message: error.message, code: error.code ?? null } });
  }
}

createInterface({ input: process.stdin }).on('line', obey).on('close', () => process.exit(0));
answer(0, { ok: process.pid });
