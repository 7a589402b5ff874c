// The agent's side of axtui's protocol, proto/axtui/v1/agent.proto, for agents that do one thing at
// a time.

import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const VERSION = 1;
const PROTO = fileURLToPath(new URL('../../proto/axtui/v1/agent.proto', import.meta.url));
const options = { keepCase: true, longs: Number, oneofs: true, defaults: true };
const { AgentService } = grpc.loadPackageDefinition(loader.loadSync(PROTO, options)).axtui.v1;

export class StepFailed extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

// What the agent is given. All that is to be done once is asked for here.
class Context {
  #stream;
  #path;
  #ordinal = 0;
  #asked = new Map(); // By the number of the request: how to go on.
  #steps = new Map(); // By key: what to do once we are told to.

  constructor(stream, run) {
    this.#stream = stream;
    this.#path = run.path;
    this.input = run.input;
    this.config = JSON.parse(run.config);
    this.state = run.state ? JSON.parse(run.state) : {};
    this.workspace = run.workspace;
  }

  // The value of fn(step, ...args), which is called once, whatever happens.
  step(fn, args, { name = fn.name, effect = '' } = {}) {
    const key = `${this.#path}${this.#ordinal + 1}`;
    this.#steps.set(key, (step) => fn(step, ...args));
    return this.#ask('function', name, args, { own: true, effect });
  }

  async approve(question, detail = null) {
    return (await this.#ask('approval', question, detail)) === 'approve';
  }

  emit(text) {
    return this.#ask('message', 'emit', [text, false, false]);
  }

  #ask(type, name, args, rest = {}) {
    // Steps are told apart by their places alone: 1, 2, 3 … in an agent with a single line.
    const id = ++this.#ordinal;
    const key = `${this.#path}${id}`;
    const ask = { key, type, name, arguments: JSON.stringify(args), ...rest };
    this.#stream.write({ id, ask });
    return new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
  }

  // Do a step that was asked for: the controller has recorded that it begins.
  async perform(id, step) {
    try {
      const value = await this.#steps.get(step.key)(step);
      this.#stream.write({ id, done: { value: JSON.stringify(value ?? null) } });
    } catch (error) {
      this.#stream.write({ id, failure: failure(error) });
    }
  }

  // How what was asked for has ended: now, or before the agent was started again.
  settle(id, outcome) {
    const { resolve, reject } = this.#asked.get(id);
    if (outcome.failed) reject(new StepFailed(outcome.failed));
    else resolve(JSON.parse(outcome.value));
  }

  refuse(id, why) {
    this.#asked.get(id)?.reject(new StepFailed(why));
  }
}

function failure(error) {
  return { code: 'exception', message: `${error}`, detail: error?.stack ?? '' };
}

async function run(agent, stream, id, context) {
  try {
    const value = JSON.stringify((await agent(context)) ?? null);
    stream.write({ id, returned: { value, state: JSON.stringify(context.state) } });
  } catch (error) {
    stream.write({ id, failure: failure(error) });
  }
}

// One call of the agent.
function attach(agent, stream) {
  let context;
  let running;
  stream.on('data', (message) => {
    const { id } = message;
    switch (message.message) {
      case 'run':
        running = id;
        context = new Context(stream, message.run);
        run(agent, stream, id, context);
        break;
      case 'step':
        context.perform(id, message.step);
        break;
      case 'quiet':
        // There is nothing else that could be going on.
        setImmediate(() => stream.write({ id, quieted: {} }));
        break;
      case 'cancel':
        if (id === running) stream.write({ id, failure: { code: 'canceled' } });
        break;
      case 'outcome':
        context.settle(id, message.outcome);
        break;
      case 'failure':
        context.refuse(id, message.failure);
        break;
    }
  });
  stream.on('end', () => stream.end());
  // The controller is gone, or done with us: what is under way goes nowhere.
  stream.on('error', () => {});
}

export function serve(agent, { address, description }) {
  const server = new grpc.Server();
  server.addService(AgentService.service, {
    Describe({ request }, reply) {
      if (request.versions.includes(VERSION)) reply(null, { version: VERSION, description });
      else reply({ code: grpc.status.FAILED_PRECONDITION, details: `it speaks ${VERSION}` });
    },
    Attach: (stream) => attach(agent, stream),
  });
  // Whoever starts us as the command of an agent says where.
  const at = process.env.AXTUI_AGENT_ADDRESS ?? address;
  server.bindAsync(at, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(`${agent.name}: served at ${at.replace(/:0$/, `:${port}`)}`);
  });
}
