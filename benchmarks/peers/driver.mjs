// What the drivers of the Node peers share: the same protocol as driver.py speaks.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

/** Modules of the peer's environment, wherever this file lies. */
export const load = createRequire(`${process.env.PEER_HOME}/`);

export const settings = {
  slots: 1, size: 1_000, callers: 100, pause: 0, processes: 1, server: 0, keep: "all", ...JSON.parse(process.argv[3]),
};

/** Nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine. */
export const now = () => process.hrtime.bigint();
const LOOK_MS = 10, QUIET_MS = 200, SHARED_QUIET_MS = 2_000, LOST_MS = 30_000;

/** Processor seconds of this process, all threads. */
const cpuSeconds = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };

/** Processor seconds of the server: see measure.py. */
function serverSeconds() {
  if (!settings.server) return 0;
  const tasks = readdirSync(`/proc/${settings.server}/task`);
  const spent = tasks.map((task) => readFileSync(`/proc/${settings.server}/task/${task}/schedstat`, "utf8"));
  return spent.reduce((sum, line) => sum + Number(line.split(" ")[0]), 0) / 1e9;
}

export function redisAddress() {
  const { hostname, port } = new URL(settings.url);
  return { host: hostname, port: Number(port) };
}

export const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** What the handlers did. */
const seen = [], late = [];
let settled = 0, ended = 0n;

/** The no-op handler. */
export function note(data) {
  if (data.at) late.push(Number(now() - BigInt(data.at)) / 1e6);
  seen.push(data.i);
}

/** The handler of a drain of jobs that wait. */
export async function noteLater(data) {
  await sleep(settings.pause * 1000);
  note(data);
}

/** The store has accepted a verdict. */
export function finished() {
  settled += 1;
  ended = now();
}

/** The value that `share` (0 to 1) of the values, in order, do not exceed. */
export const percentile = (ordered, share) =>
  ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))];

function percentiles() {
  const warm = late.slice(Math.floor(late.length / 10)).sort((a, b) => a - b);
  return warm.length ? { p50: percentile(warm, 0.5), p95: percentile(warm, 0.95), p99: percentile(warm, 0.99) } : {};
}

function end(figures) {
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
}

async function watch(cpu) {
  let ran = 0, spent = 0, served = 0, changed = Date.now(), patience = LOST_MS;
  while (Date.now() - changed < patience) {
    await sleep(LOOK_MS);
    if (settled === ran) continue;
    [ran, spent, changed] = [settled, cpuSeconds() - cpu, Date.now()];
    if (settings.processes === 1 && ran < settings.jobs) continue;
    [patience, served] = [settings.processes > 1 ? SHARED_QUIET_MS : QUIET_MS, serverSeconds()];
  }
  writeFileSync(`${settings.folder}/seen-${process.pid}`, JSON.stringify(seen));
  end({ ended: Number(ended) / 1e9, cpu: spent, served, ...percentiles() });
}

/** Time `work` and print its rates. */
async function measured(work, waiting) {
  const wall = now(), cpu = cpuSeconds(), served = serverSeconds();
  await work();
  const seconds = Number(now() - wall) / 1e9, spent = cpuSeconds() - cpu;
  const figures = { per_second: settings.jobs / seconds, cpu_us: (spent / settings.jobs) * 1e6 };
  if (settings.server) figures.server_us = ((serverSeconds() - served) / settings.jobs) * 1e6;
  await check(waiting);
  end(figures);
}

async function check(waiting) {
  const count = await waiting();
  if (count !== settings.jobs) throw new Error(`${settings.jobs} jobs were added and ${count} wait`);
}

async function inBulks(peer, size) {
  for (let first = 0; first < settings.jobs; first += size) {
    const count = Math.min(size, settings.jobs - first);
    await peer.addMany(Array.from({ length: count }, (_, offset) => ({ i: first + offset })));
  }
}

/** `peer` has ready(), add(data), addMany(datas), waiting(), open() and work() for workers, and verbs of its own. */
export async function main(peer) {
  const verb = process.argv[2];
  const verbs = {
    async fill() {
      await inBulks(peer, 5_000);
      await check(peer.waiting);
      end({});
    },
    add_one: () => measured(async () => {
      for (let i = 0; i < settings.jobs; i += 1) await peer.add({ i });
    }, peer.waiting),
    add_concurrent: () => measured(() => Promise.all(Array.from({ length: settings.callers }, async (_, first) => {
      for (let i = first; i < settings.jobs; i += settings.callers) await peer.add({ i });
    })), peer.waiting),
    add_bulk: () => measured(() => inBulks(peer, settings.size), peer.waiting),
    async produce() {
      for (let i = 0; i < settings.jobs; i += 1) {
        await peer.add({ i, at: Number(now()) });
        await sleep(settings.gap * 1000);
      }
      end({});
    },
    async share() {
      await peer.open();
      process.stdout.write("ready\n");
      await new Promise((go) => { createInterface({ input: process.stdin }).once("line", go); });
      watch(cpuSeconds());
      await peer.work();
    },
  };
  if (verb !== "share") await peer.ready();
  await (verbs[verb] ?? (async () => end(await peer[verb]())))();
}
