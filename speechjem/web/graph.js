// The model as a graph that onnxruntime-web runs, on one thread.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

export class Graph {
  constructor(session, settings) {
    this.session = session;
    this.settings = settings;
  }

  // Of the folder that this module lies in.
  static async load() {
    const address = (name) => new URL(`./${name}`, import.meta.url).href;
    const settings = await (await fetch(address("settings.json"))).json();
    ort.env.wasm.numThreads = 1; // more would need headers of the server, and the products are small
    ort.env.wasm.wasmPaths = { wasm: address("runtime/ort-wasm-simd-threaded.wasm") };
    // It would warn of inputs that need not be given.
    const session = await ort.InferenceSession.create(address("stream.onnx"), { logSeverityLevel: 3 });
    return new Graph(session, settings);
  }

  // The state before the first frame.
  start(channels) {
    const { state } = this.settings;
    return new ort.Tensor("float32", new Float32Array(channels * state), [channels, state]);
  }

  // Hears a frame of every channel, one after the other in `samples`, and enhances the ones before. A frame that is
  // not finite is none.
  async run(samples, state, channels) {
    const frame = new ort.Tensor("float32", samples, [channels, samples.length / channels]);
    const given = await this.session.run({ frame, state });
    return { enhanced: given.enhanced.data, gain: given.gain.data, state: given.next_state };
  }
}
