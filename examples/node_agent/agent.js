// An agent in Node.js: orders something, packs it, and sends it off once somebody agrees. Kill it
// at any moment: what it has done is not done again. `npm ci && npm start` starts it, and it is
// configured as `{id: parcels, address: "localhost:50052"}` or `{id: parcels, command: [node,
// agent.js]}`.

import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './axtui.js';

const note = (step, line) => appendFile(join(step.workspace, 'parcels.txt'), `${line}\n`);

async function order(step, item) {
  await note(step, `ordered ${item}`);
  return item.length * 100;
}

async function pack(step, item, seconds) {
  await note(step, `packing ${item}, attempt ${step.attempt}`);
  await sleep(seconds * 1000);
  // The same at every attempt: a service that knows such keys does nothing twice.
  return `parcel ${step.idempotency_key.slice(-8)}`;
}

async function parcels(ctx) {
  const { seconds = 0 } = ctx.config ?? {};
  const grams = await ctx.step(order, [ctx.input]);
  const parcel = await ctx.step(pack, [ctx.input, seconds], { effect: 'idempotent' });
  await ctx.emit(`${parcel} weighs ${grams} g`);
  if (!(await ctx.approve(`Send ${ctx.input}?`, { grams }))) return 'kept';
  ctx.state.sent = (ctx.state.sent ?? 0) + 1;
  return `sent ${ctx.input}, number ${ctx.state.sent}`;
}

serve(parcels, {
  address: process.argv[2] ?? 'localhost:50052',
  description: 'Orders, packs and sends what it is told.',
});
