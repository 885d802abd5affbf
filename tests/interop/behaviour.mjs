// What a scripted worker does with a job. A script is {"*": step, "<job name>": step}; a step is one of
//
//   {"return": value}                    {"echo": true}            {"children": true}
//   {"throw": "message", "times": n, "unrecoverable": true}        the first n attempts, always when n is left out
//   {"progress": value, "log": ["…"], "data": {…}}                 done first, in this order, beside any of the others
//   {"hold": true}                       waits until the caller releases the worker
//   {"delay": ms}                        steps aside once, for so long
//   {"limit": ms}                        declares the queue rate limited, once
//   {"wait": true}                       steps aside until its children are done

async function prepare(step, job) {
  if ('progress' in step) await job.updateProgress(step.progress);
  for (const line of step.log ?? []) await job.log(line);
  if ('data' in step) await job.updateData(step.data);
}

async function steer(step, job, token, worker, library) {
  if (step.delay && job.attemptsStarted === 1) {
    await job.moveToDelayed(Date.now() + step.delay, token);
    throw new library.DelayedError();
  }
  if (step.limit && job.attemptsStarted === 1) {
    await worker.rateLimit(step.limit);
    throw library.Worker.RateLimitError();
  }
  if (step.wait && (await job.moveToWaitingChildren(token))) throw new library.WaitingChildrenError();
}

export function behaviour(library, script, one) {
  return async (job, token, worker) => {
    const step = script[job.name] ?? script['*'] ?? { return: null };
    await prepare(step, job);
    if (step.hold && !one.released) await new Promise((go) => one.held.push(go));
    await steer(step, job, token, worker, library);
    if ('throw' in step && job.attemptsMade < (step.times ?? Infinity)) {
      throw step.unrecoverable ? new library.UnrecoverableError(step.throw) : new Error(step.throw);
    }
    if (step.echo) return job.data;
    if (step.children) return job.getChildrenValues();
    return step.return;
  };
}
