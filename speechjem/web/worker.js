// Does the work: whole recordings as they come from the page, and the microphone from its own thread.
//
// From the page: {rows, rate, number} a recording; {port, rate, number} the microphone; {stop} its end. To the page:
// {ready}, {problem}, {live} and {full} of the microphone; {progress, number} and {done, number} of what has that
// number. Over the port: blocks from the microphone; pairs {before, after} of the same time back.

import { Graph } from "./graph.js";
import { Fifo, joined } from "./rows.js";
import { Stream } from "./stream.js";

const PIECE = 0.25; // seconds of a recording between two reports
const REPORT = 0.1; // seconds of the microphone
const LONGEST = 600; // seconds that are kept of the microphone

const say = (message, transfer = []) => self.postMessage(message, transfer);
const mean = (rows) =>
  rows.reduce((sum, row) => sum + row.reduce((all, x) => all + x * x, 0) / row.length, 0);
const decibels = (rows) => 10 * Math.log10(Math.max(mean(rows) / rows.length, 1e-12));

// A stream that keeps what went in and what came out, and knows how long it worked.
class Job {
  constructor(channels, { rate, number }) {
    this.stream = new Stream(graph, graph.settings, rate, channels);
    [this.rate, this.number] = [rate, number];
    const none = Array.from({ length: channels }, () => new Float32Array(0));
    [this.before, this.after] = [[none], [none]]; // rows, piece by piece
    this.busy = 0; // seconds
  }

  async push(rows) {
    const after = await this.timed(() => this.stream.push(rows));
    this.before.push(rows);
    this.after.push(after);
    return after;
  }

  async timed(work) {
    const start = performance.now();
    const result = await work();
    this.busy += (performance.now() - start) / 1000;
    return result;
  }

  async finish() {
    this.after.push(await this.timed(() => this.stream.flush()));
    const [before, after] = [this.before, this.after].map((pieces) =>
      pieces[0].map((_, channel) => joined(pieces.map((rows) => rows[channel]))),
    );
    const { rate, busy, number } = this;
    const { latency } = this.stream;
    say(
      { done: { before, after, rate, busy, latency }, number },
      [...before, ...after].map((row) => row.buffer),
    );
  }
}

class Microphone extends Job {
  constructor(data) {
    super(1, data);
    this.waiting = new Fifo(); // what was heard, until it has come out
    this.heard = 0; // samples
    this.reported = { heard: 0, busy: 0 };
    this.turn = Promise.resolve();
    this.port = data.port;
    this.port.onmessage = ({ data: block }) => this.inTurn(() => this.hear(block));
  }

  // One after the other: the state of the stream is that after the block before.
  inTurn(work) {
    this.turn = this.turn.then(work).catch(complain);
    return this.turn;
  }

  async hear(block) {
    if (this.heard >= LONGEST * this.rate) return;
    const [after] = await this.push([block]);
    this.waiting.push(block);
    const before = this.waiting.pop(after.length).slice();
    this.heard += block.length;
    this.port.postMessage({ before, after });
    const since = (this.heard - this.reported.heard) / this.rate;
    if (since >= REPORT && after.length > 0) {
      const load = (this.busy - this.reported.busy) / since;
      this.reported = { heard: this.heard, busy: this.busy };
      say({
        live: { before: decibels([before]), after: decibels([after]), load, seconds: this.heard / this.rate },
      });
    }
    if (this.heard >= LONGEST * this.rate) say({ full: true });
  }

  async end() {
    this.port.onmessage = null;
    await this.inTurn(() => this.finish());
  }
}

let graph = null;
let microphone = null;
let latest = 0; // number of what the page wants now

const recording = async (data) => {
  const { rows, rate, number } = data;
  const job = new Job(rows.length, data);
  const [length, piece] = [rows[0].length, Math.round(PIECE * rate)];
  for (let start = 0; start < length; start += piece) {
    await job.push(rows.map((row) => row.subarray(start, start + piece)));
    say({ progress: Math.min(start + piece, length) / length, number });
    await new Promise((next) => setTimeout(next)); // the page may want something else
    if (number !== latest) return;
  }
  await job.finish();
};

const complain = (error) => {
  console.error(error);
  say({ problem: `The model failed (${error.message}); load the page again.` });
};

self.onmessage = async ({ data }) => {
  latest = data.number ?? latest;
  try {
    if (data.rows) await recording(data);
    if (data.port) microphone = new Microphone(data);
    if (data.stop) await microphone.end();
  } catch (error) {
    complain(error);
  }
};

try {
  graph = await Graph.load();
  say({ ready: true });
} catch (error) {
  say({ problem: `The model cannot be loaded (${error.message}); load the page again.` });
}
