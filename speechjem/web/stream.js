// A stream through the model: speechjem/denoising/streaming.py and speechjem/audio/bands.py in the browser.
//
// The graph takes a frame of samples and its state, and gives the frame before, enhanced and windowed, and the gain
// of its upper octave. What is left is level, sum of the parts, and sample rate.

import { PastGain } from "./level.js";
import { Resampler } from "./resampling.js";
import { Fifo, joined } from "./rows.js";

const FRAMES = 3; // whose gains are kept: those that a sample of the sum lies between

// One channel at the model's rate, around the graph.
class Channel {
  constructor(settings) {
    const { window, hop } = settings;
    this.hop = hop;
    this.size = window.length;
    this.power = window.map((value) => value ** 2);
    this.gains = new PastGain(settings);
    [this.heard, this.levels] = [new Fifo(), new Fifo()];
    this.heard.push(new Float32Array(this.size / 2));
    this.sum = new Float32Array(this.size);
    this.weight = new Float32Array(this.size);
    this.upper = new Array(FRAMES).fill(1);
    this.skip = this.size / 2; // the first frame begins half a window before the first sample
  }

  push(samples) {
    const gains = this.gains.push(samples);
    this.heard.push(samples.map((sample, i) => sample * gains[i]));
    this.levels.push(gains);
  }

  // The next frame.
  take() {
    const frame = this.heard.peek(this.size).slice();
    this.heard.pop(this.hop);
    return frame;
  }

  // Adds what the graph gives, and gives the next `count` samples and their gains.
  add(enhanced, gain, count) {
    for (let i = 0; i < this.size; i++) {
      this.sum[i] += enhanced[i];
      this.weight[i] += this.power[i];
    }
    this.upper = [...this.upper.slice(1), gain];
    const given = this.give(count);
    for (const kept of [this.sum, this.weight]) {
      kept.copyWithin(0, count);
      kept.fill(0, this.size - count);
    }
    this.skip = Math.max(0, this.skip - count);
    return given;
  }

  give(count) {
    const levels = this.levels.pop(Math.max(0, count - this.skip));
    const place = (i) => this.skip + i;
    const enhanced = levels.map(
      (level, i) => this.sum[place(i)] / Math.max(this.weight[place(i)], 1e-8) / level,
    );
    return { enhanced, gain: levels.map((_, i) => this.upperAt(place(i))) };
  }

  // Gain of the upper octave at a sample of the sum, between those of the frames beside it.
  upperAt(sample) {
    const frame = FRAMES - 1 + (sample - this.size / 2) / this.hop;
    const before = Math.min(Math.max(Math.floor(frame), 0), FRAMES - 2);
    const share = Math.min(Math.max(frame - before, 0), 1);
    return this.upper[before] + share * (this.upper[before + 1] - this.upper[before]);
  }
}

// All channels at the model's rate, frame by frame.
class FrameByFrame {
  constructor(graph, settings, channels) {
    this.graph = graph;
    this.settings = settings;
    this.channels = Array.from({ length: channels }, () => new Channel(settings));
    this.state = graph.start(channels);
    this.frame = 0; // the next one to hear
    this.length = 0; // samples that were heard
  }

  async push(rows) {
    this.channels.forEach((channel, n) => channel.push(rows[n]));
    this.length += rows[0].length;
    return this.ready();
  }

  async ready() {
    const { hop, window } = this.settings;
    const given = this.channels.map(() => []);
    for (; this.channels[0].heard.length >= window.length; this.frame++) {
      this.advance(await this.hear(false), hop).forEach((part, n) => given[n].push(part));
    }
    return given.map(together);
  }

  // All that is left: the last frame hears none after it.
  async flush() {
    const { hop, window } = this.settings;
    const last = Math.floor(this.length / hop);
    for (const { heard } of this.channels) {
      heard.push(new Float32Array((last - this.frame) * hop + window.length - heard.length));
    }
    const parts = await this.ready();
    const rest = this.advance(await this.hear(true), window.length);
    return parts.map((part, n) => together([part, rest[n]]));
  }

  async hear(ended) {
    const { channels } = this;
    const samples = ended
      ? new Float32Array(channels.length * this.settings.window.length).fill(NaN)
      : joined(channels.map((channel) => channel.take()));
    const { enhanced, gain, state } = await this.graph.run(samples, this.state, channels.length);
    this.state = state;
    return { enhanced, gain };
  }

  advance({ enhanced, gain }, count) {
    const none = new Float32Array(0);
    const size = this.settings.window.length;
    if (this.frame === 0) return this.channels.map(() => ({ enhanced: none, gain: none }));
    return this.channels.map((channel, n) =>
      channel.add(enhanced.subarray(n * size, (n + 1) * size), gain[n], count),
    );
  }
}

const together = (parts) => ({
  enhanced: joined(parts.map((part) => part.enhanced)),
  gain: joined(parts.map((part) => part.gain)),
});

// What one channel needs at another rate than the model's.
class Bands {
  constructor(rate, inner) {
    this.down = new Resampler(rate, inner);
    this.ups = Array.from({ length: 3 }, () => new Resampler(inner, rate));
    [this.originals, this.inner] = [new Fifo(), new Fifo()];
  }

  take(samples, last) {
    this.originals.push(samples);
    const inner = last ? joined([this.down.push(samples), this.down.flush()]) : this.down.push(samples);
    this.inner.push(inner);
    return inner;
  }

  // The enhanced band at the outer rate, and what the model's rate cannot hold with the gain of its upper octave.
  give({ enhanced, gain }, last) {
    const plain = this.inner.pop(enhanced.length);
    // The ends of a resampled signal lean to zero: no attenuation is right there, no gain would not be.
    const rows = [enhanced, plain, gain.map((value) => 1 - value)];
    const [band, held, attenuation] = rows.map((row, n) => {
      const up = this.ups[n];
      return last ? joined([up.push(row), up.flush()]) : up.push(row);
    });
    const originals = this.originals.pop(band.length);
    const full = originals.map((sample, i) => {
      const lowered = Math.min(Math.max(attenuation[i], 0), 1);
      return band[i] + (sample - held[i]) * (1 - lowered);
    });
    return last ? joined([full, this.originals.pop(this.originals.length)]) : full;
  }
}

// Enhances a stream of any rate: push rows (one a channel) of any length, get rows back, flush at the end. What
// comes out is as long as what went in. Await each call before the next one.
export class Stream {
  constructor(graph, settings, rate, channels) {
    this.core = new FrameByFrame(graph, settings, channels);
    const each = Array.from({ length: channels });
    this.bands = rate === settings.rate ? null : each.map(() => new Bands(rate, settings.rate));
    this.latency = settings.latency + (this.bands ? 2 * this.bands[0].down.delay : 0); // seconds
  }

  async push(rows) {
    const given = await this.core.push(this.enter(rows, false));
    return this.leave(given, false);
  }

  async flush() {
    const none = this.core.channels.map(() => new Float32Array(0));
    const before = this.bands ? await this.core.push(this.enter(none, true)) : null;
    const rest = await this.core.flush();
    return this.leave(before ? rest.map((part, n) => together([before[n], part])) : rest, true);
  }

  enter(rows, last) {
    return this.bands ? rows.map((row, n) => this.bands[n].take(row, last)) : rows;
  }

  leave(parts, last) {
    return this.bands
      ? parts.map((part, n) => this.bands[n].give(part, last))
      : parts.map((part) => part.enhanced);
  }
}
