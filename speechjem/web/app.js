// The page: what is dropped, chosen or heard goes to the worker, what comes back is shown and played.

import { rateOf, wav } from "./wav.js";

const USUAL_RATE = 48000; // Hz, of what does not say its rate
const LONGEST = 900; // seconds of a recording: what a page may hold in memory
const LATE = 1; // seconds
const COLUMNS = 1000; // of a waveform; more would not be seen
const SOFTEST = -80; // dB, the lower end of a meter
// A module with an instruction of 128 bits: a function that returns i8x16.splat of 0.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
];
const REFUSALS = {
  NotAllowedError:
    "The microphone was refused; allow it for this page in the browser, and press the button again.",
  NotFoundError: "There is no microphone; connect one, and press the button again.",
};

const find = (name) => document.getElementById(name);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
let ready = false; // whether the model is loaded
let name = ""; // of the recording, without ending
let microphone = null; // what is open while it is heard
let given = 0; // recordings; what was asked of one before is not shown any more
let urls = []; // of the recordings that are shown

// Says it once: what is said again would be read aloud again.
const tell = (sentence) => {
  if (find("status").textContent !== sentence) find("status").textContent = sentence;
};

const complain = (sentence) => {
  find("problem").textContent = sentence;
  find("problem").hidden = false;
  find("progress").hidden = true;
  tell("");
};

const facts = (values) => {
  const rows = Object.entries(values).map(([term, value]) => {
    const [row, dt, dd] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    [dt.textContent, dd.textContent] = [term, value];
    row.append(dt, dd);
    return row;
  });
  find("facts").replaceChildren(...rows);
  find("facts").hidden = rows.length === 0;
};

// Forgets what is shown, and gives a number that is that of `given` until the next thing begins.
const begin = () => {
  for (const part of ["problem", "progress", "result"]) find(part).hidden = true;
  find("result").replaceChildren();
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  facts({});
  return ++given;
};

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} % of one core`;
const milliseconds = (seconds) => `${Math.round(1000 * seconds)} ms`;

// Recordings

// Seconds of a recording, without decoding it.
const lengthOf = (blob) => {
  const url = URL.createObjectURL(blob);
  return new Promise((resolve, reject) => {
    const audio = new Audio();
    audio.onloadedmetadata = () => resolve(audio.duration);
    audio.onerror = reject;
    audio.src = url;
  }).finally(() => URL.revokeObjectURL(url));
};

const decoded = async (buffer) => {
  const rate = rateOf(buffer) ?? USUAL_RATE;
  const context = new OfflineAudioContext(1, 1, rate);
  const audio = await context.decodeAudioData(buffer);
  const rows = Array.from({ length: audio.numberOfChannels }, (_, channel) =>
    audio.getChannelData(channel).slice(),
  );
  return { rows, rate };
};

// A recording as rows of samples; else throws what to say.
const read = async (file, blob) => {
  const undecodable = () => {
    throw `${file} cannot be decoded by this browser; give a WAV, FLAC, MP3 or Ogg file.`;
  };
  if ((await lengthOf(blob).catch(undecodable)) > LONGEST) {
    throw `${file} is longer than the ${LONGEST / 60} minutes that a page can hold; run: speechjem denoise`;
  }
  const recording = await decoded(await blob.arrayBuffer()).catch(undecodable);
  const { rows } = recording;
  if (rows[0].length === 0) throw `${file} has no samples; give another recording.`;
  if (!rows.every((row) => row.every(Number.isFinite))) {
    throw `${file} has samples that are no finite numbers; write it again without them.`;
  }
  return recording;
};

const denoise = async (file, blob) => {
  await close();
  const mine = begin();
  tell(`Reading ${file} …`);
  try {
    const { rows, rate } = await read(file, await blob);
    if (mine !== given) return;
    name = file.replace(/\.[^.]*$/, "");
    tell(`Denoising ${file} …`);
    find("progress").value = 0;
    find("progress").hidden = false;
    worker.postMessage(
      { rows, rate, number: mine },
      rows.map((row) => row.buffer),
    );
  } catch (problem) {
    if (mine === given) complain(problem);
  }
};

const peaks = (rows) => {
  const length = rows[0].length;
  const columns = Math.min(COLUMNS, length);
  return Array.from({ length: columns }, (_, column) => {
    const [start, end] = [column, column + 1].map((edge) => Math.floor((edge * length) / columns));
    let peak = 0;
    for (const row of rows) for (let i = start; i < end; i++) peak = Math.max(peak, Math.abs(row[i]));
    return peak;
  });
};

const show = ({ before, after, rate, busy, latency }) => {
  if (before[0].length === 0) return complain("The microphone gave no sound; try it again.");
  const removed = before.map((row, channel) => row.map((sample, i) => sample - after[channel][i]));
  const tracks = Object.entries({ Before: before, After: after, Removed: removed }).map(([title, rows]) => {
    const url = URL.createObjectURL(wav(rows, rate));
    urls.push(url);
    return { name: title, url, file: `${name}-${title.toLowerCase()}.wav`, peaks: peaks(rows) };
  });
  const seconds = before[0].length / rate;
  const player = document.createElement("speech-player");
  player.dataset.view = JSON.stringify({ seconds, tracks, segments: [], panels: [] });
  find("result").replaceChildren(player);
  find("result").hidden = false;
  find("progress").hidden = true;
  tell(
    `Done: ${seconds.toFixed(2)} s, ${rate} Hz, ${before.length === 1 ? "1 channel" : `${before.length} channels`}.`,
  );
  facts({ Load: percent(busy / seconds), "Latency of the model": milliseconds(latency) });
};

// The microphone

const open = async () => {
  if (!navigator.mediaDevices) {
    return complain("A page hears the microphone over https or from localhost only; open it from there.");
  }
  const mine = begin();
  tell("Waiting for the microphone …");
  let source;
  try {
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    source = await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    if (mine === given)
      complain(REFUSALS[error.name] ?? `The microphone cannot be opened (${error.message}).`);
    return;
  }
  if (mine === given) await listen(source, mine);
  else source.getTracks().forEach((track) => track.stop());
};

const listen = async (source, mine) => {
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.audioWorklet.addModule(new URL("./microphone.js", import.meta.url));
  const { port1, port2 } = new MessageChannel();
  const node = new AudioWorkletNode(context, "microphone", {
    channelCount: 1,
    channelCountMode: "explicit",
    outputChannelCount: [1],
  });
  const loudness = new GainNode(context, { gain: 0 });
  microphone = { source, context, node, loudness, latency: null, dropouts: 0 };
  node.port.postMessage({ worker: port1 }, [port1]);
  worker.postMessage({ port: port2, rate: context.sampleRate, number: mine }, [port2]);
  node.port.onmessage = ({ data }) => Object.assign(microphone ?? {}, data);
  source.getTracks()[0].onended = () => end("The microphone has gone; what was heard until then is below.");
  new MediaStreamAudioSourceNode(context, { mediaStream: source }).connect(node).connect(loudness);
  loudness.connect(context.destination);
  await context.resume();
  name = "microphone";
  find("live").hidden = false;
  find("microphone").textContent = "Stop";
  choose(true);
  hear();
  tell("Listening.");
};

const close = async () => {
  if (!microphone) return;
  const { source, context } = microphone;
  microphone = null;
  source.getTracks().forEach((track) => track.stop());
  find("live").hidden = true;
  find("microphone").textContent = "Use the microphone";
  tell("Finishing …");
  await context.close();
  worker.postMessage({ stop: true });
};

// Closes what ends by itself, and says why.
const end = async (sentence) => {
  if (!microphone) return;
  await close();
  complain(sentence);
};

const hear = () => {
  const { context, loudness } = microphone;
  loudness.gain.setTargetAtTime(find("hear").checked ? 1 : 0, context.currentTime, 0.01);
};

const choose = (after) => {
  find("hear-before").setAttribute("aria-pressed", !after);
  find("hear-after").setAttribute("aria-pressed", after);
  microphone?.node.port.postMessage({ after });
};

const meter = (which, level) => {
  find(`${which}-level`).value = Math.max(level, SOFTEST);
  find(`${which}-number`).textContent = `${level.toFixed(0)} dB`;
};

const report = ({ before, after, load, seconds }) => {
  if (!microphone) return;
  const { context, latency, dropouts } = microphone;
  meter("before", before);
  meter("after", after);
  tell(latency > LATE ? "This device is too slow: what is heard comes later and later." : "Listening.");
  const device = context.baseLatency + (context.outputLatency || 0);
  facts({
    Time: `${seconds.toFixed(1)} s`,
    Load: percent(load),
    Latency:
      latency === null ? "…" : `${milliseconds(latency)}, and ${milliseconds(device)} of the output device`,
    Dropouts: dropouts,
  });
};

// What comes from the worker and from the hands

worker.onmessage = ({ data }) => {
  if (data.ready) {
    ready = true;
    for (const control of ["file", "sample", "microphone"]) find(control).disabled = false;
    tell("Ready.");
  }
  if (data.problem) complain(data.problem);
  if (data.live) report(data.live);
  if (data.full)
    end("A page keeps ten minutes of the microphone, which are below; press the button to go on.");
  if (data.number !== given) return;
  if (data.progress) find("progress").value = data.progress;
  if (data.done) show(data.done);
};
worker.onerror = () => complain("The model cannot be loaded by this browser; take a newer one.");

const sample = async () => {
  const answer = await fetch("sample.flac").catch(() => ({ ok: false }));
  if (!answer.ok) throw "The sample cannot be had: the server of this page does not answer; start it again.";
  return answer.blob();
};

const take = (file) => file && denoise(file.name, file);
find("file").onchange = ({ target }) => {
  take(target.files[0]);
  target.value = "";
};
find("sample").onclick = () => denoise("sample.flac", sample());
find("microphone").onclick = () => (microphone ? close() : open());
find("hear").onchange = hear;
find("hear-before").onclick = () => choose(false);
find("hear-after").onclick = () => choose(true);

const drop = find("drop");
// A file that misses the field would replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
window.addEventListener("dragover", () => drop.classList.toggle("over", ready));
for (const kind of ["dragleave", "drop"]) window.addEventListener(kind, () => drop.classList.remove("over"));
window.addEventListener("drop", ({ dataTransfer }) => ready && take(dataTransfer.files[0]));

if (typeof WebAssembly !== "object" || !WebAssembly.validate(Uint8Array.from(SIMD))) {
  worker.terminate();
  complain("This browser has no WebAssembly SIMD, which the model needs; take a newer one.");
}
