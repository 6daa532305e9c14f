// On the audio thread: gives what the microphone hears to the worker in blocks, and plays what comes back.

const BLOCK = 4; // quanta of 128 samples that are sent at once
const LONGEST = 0.125; // seconds that wait at most when playing begins
const WINDOW = 1; // seconds; what has waited so long in vain is left out
const FADE = 0.01; // seconds of the switch between before and after

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK * 128);
    this.filled = 0;
    [this.sent, this.played] = [0, 0]; // samples
    this.queue = []; // pairs of rows of the same time
    this.offset = 0; // samples of the first pair that were played
    this.waiting = 0; // samples in the queue
    this.target = this.block.length; // that wait when playing begins
    this.playing = false;
    [this.least, this.watched] = [Infinity, 0]; // samples that always waited, in the samples since
    this.dropouts = 0;
    [this.share, this.wanted] = [1, 1]; // of `after` in what is heard
    this.worker = null; // its port
    this.port.onmessage = ({ data }) => (data.worker ? this.connect(data.worker) : this.choose(data.after));
  }

  connect(worker) {
    this.worker = worker;
    worker.onmessage = ({ data }) => this.receive(data);
  }

  choose(after) {
    this.wanted = after ? 1 : 0;
  }

  receive(pair) {
    this.queue.push(pair);
    this.waiting += pair.after.length;
  }

  process([input], [output]) {
    const heard = input[0] ?? new Float32Array(128);
    this.block.set(heard, this.filled);
    this.filled += heard.length;
    this.sent += heard.length;
    if (this.filled === this.block.length) {
      this.worker?.postMessage(this.block.slice());
      this.filled = 0;
      this.report();
    }
    this.play(output[0]);
    return true;
  }

  report() {
    this.port.postMessage({ latency: (this.sent - this.played) / sampleRate, dropouts: this.dropouts });
  }

  play(out) {
    if (!this.playing) this.playing = this.waiting >= Math.max(this.target, out.length);
    if (this.playing && this.waiting < out.length) this.drop();
    if (!this.playing) return;
    for (let i = 0; i < out.length; i++) out[i] = this.next();
    this.catchUp(out.length);
  }

  // What should be played has not come: begins again when more is waiting.
  drop() {
    this.playing = false;
    this.dropouts++;
    this.target = Math.min(this.target + this.block.length, LONGEST * sampleRate);
    [this.least, this.watched] = [Infinity, 0];
  }

  // Leaves out what has waited in vain: the first blocks come late, while the browser compiles the model.
  catchUp(count) {
    this.least = Math.min(this.least, this.waiting);
    this.watched += count;
    if (this.watched < WINDOW * sampleRate) return;
    this.skip(this.least - this.target);
    [this.least, this.watched] = [Infinity, 0];
  }

  next() {
    while (this.offset === this.queue[0].after.length) this.advance();
    const { before, after } = this.queue[0];
    const step = 1 / (FADE * sampleRate);
    this.share += Math.min(Math.max(this.wanted - this.share, -step), step);
    const sample = before[this.offset] + this.share * (after[this.offset] - before[this.offset]);
    [this.offset, this.waiting, this.played] = [this.offset + 1, this.waiting - 1, this.played + 1];
    return sample;
  }

  skip(count) {
    for (; count > 0; count--) this.next();
  }

  advance() {
    this.queue.shift();
    this.offset = 0;
  }
}

registerProcessor("microphone", Microphone);
