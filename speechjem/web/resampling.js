// One channel at another rate, piece by piece: ShortResampler of speechjem/audio/resampling.py. Nothing comes late
// where all samples are known that the filter spans; so many are kept back until `flush`.

import { joined } from "./rows.js";

const CROSSINGS = 32; // periods of the lower rate on either side
const CUTOFF = 0.95; // share of the lower band
const BETA = 7; // of Kaiser's window

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

// Modified Bessel function of the first kind, order 0: its power series.
const bessel = (x) => {
  let [sum, term] = [1, 1];
  for (let n = 1; term > 1e-12 * sum; n++) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
};

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

export class Resampler {
  constructor(source, target) {
    const common = divisor(source, target);
    [this.up, this.down] = [target / common, source / common];
    const low = Math.min(source, target);
    this.side = Math.ceil((CROSSINGS * source) / low); // samples that are heard on either side
    this.delay = this.side / source; // seconds
    this.filters = Array.from({ length: this.up }, (_, phase) => this.filter(phase / this.up, low / source));
    this.held = new Float32Array(this.side);
    [this.place, this.phase] = [0, 0]; // of the next sample to give, among those held
  }

  // Taps of a sample `after` the middle one of those that it hears; `share` is the lower rate in the source's.
  filter(after, share) {
    const taps = Float64Array.from({ length: 2 * this.side + 1 }, (_, tap) => {
      const time = tap - this.side - after;
      if (time < -this.side) return 0;
      const edge = Math.max(0, 1 - ((time * share) / CROSSINGS) ** 2);
      return sinc(CUTOFF * time * share) * bessel(BETA * Math.sqrt(edge));
    });
    const sum = taps.reduce((all, value) => all + value, 0); // a constant stays what it is
    return Float32Array.from(taps, (value) => value / sum);
  }

  push(samples) {
    const heard = joined([this.held, samples]);
    const given = [];
    for (; this.place + 2 * this.side < heard.length; this.step()) {
      const taps = this.filters[this.phase];
      let sum = 0;
      for (let i = 0; i < taps.length; i++) sum += taps[i] * heard[this.place + i];
      given.push(sum);
    }
    const done = Math.min(this.place, heard.length);
    this.held = heard.slice(done);
    this.place -= done;
    return Float32Array.from(given);
  }

  step() {
    this.phase += this.down;
    this.place += Math.floor(this.phase / this.up);
    this.phase %= this.up;
  }

  flush() {
    return this.push(new Float32Array(this.side));
  }
}
