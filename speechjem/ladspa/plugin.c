/* A LADSPA plugin that denoises speech as it comes: `StreamDenoiser` in C.

   `export --ladspa` writes model.h (sizes and `struct weights`) and model.bin (that struct, arranged as the
   loops below read it) from a model, and compiles all into one file. What each function is a copy of is said
   above it. After `instantiate` nothing is
   allocated, locked or read from files. */

#include <ladspa.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define SIZE (BINS + FINE)      /* of a frame: log-mel and fine structure */
#define STATE (SIZE + TURN)     /* of what the steps move: a frame and its turn */
#define HEARD (3 * SIZE + 6 * LOW) /* what the network is told of the recording */
#define BLOCK_COUNT LEVEL_BLOCKS /* blocks of 50 ms that the level remembers */
#define LONGEST 4096            /* samples that a resampler takes before it moves what it keeps */
#define ROOM (1 << 16)          /* samples that a queue holds; far more than any delay */
#define FOR(i, n) for (int i = 0; i < (n); i++)

__asm__(".section .rodata\n.balign 64\nmodel_bytes:\n.incbin \"model.bin\"\n.previous\n");
extern const struct weights model_bytes __attribute__((visibility("hidden")));
static const struct weights *const model = &model_bytes;

/* y += x W, for W of shape (in, out). */
static void product(float *restrict y, const float *restrict x, const float *restrict w, int in, int out) {
    FOR(i, in) {
        const float *row = w + (size_t)i * out, factor = x[i];
        FOR(o, out) y[o] += factor * row[o];
    }
}

/* x = y W^T, for W of shape (in, out). */
static void back(float *restrict x, const float *restrict y, const float *restrict w, int in, int out) {
    FOR(i, in) {
        const float *row = w + (size_t)i * out;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int o = 0; o < out; o++) sum += y[o] * row[o];
        x[i] = sum;
    }
}

/* x sigmoid(x) in place, and its slope. */
static void silu(float *x, float *slope, int count) {
    FOR(i, count) {
        float gate = 1 / (1 + expf(-x[i])), active = x[i] * gate;
        slope[i] = gate + active - active * gate;
        x[i] = active;
    }
}

/* A queue of samples. */
struct queue {
    float at[ROOM];
    unsigned first, last;
};

static unsigned length(const struct queue *q) { return q->last - q->first; }

static void put(struct queue *q, float value) { q->at[q->last++ % ROOM] = value; }

static float take(struct queue *q) { return length(q) ? q->at[q->first++ % ROOM] : 0; }

/* The running level: `audio.level.PastGain`. */
struct level {
    double filter[SECTIONS][2];
    double power[BLOCK_COUNT];
    int blocks, filled;
    double sum, before, after; /* the levels at the beginning and at the end of this block, in dB */
};

static double high_pass(struct level *l, double x) { /* transposed direct form 2, as scipy.signal.sosfilt */
    FOR(s, SECTIONS) {
        const double *c = high_pass_sections[s];
        double y = c[0] * x + l->filter[s][0];
        l->filter[s][0] = c[1] * x - c[4] * y + l->filter[s][1];
        l->filter[s][1] = c[2] * x - c[5] * y;
        x = y;
    }
    return (float)x;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void next_block(struct level *l) { /* `follow_past` */
    double sorted[BLOCK_COUNT];
    l->power[l->blocks++ % BLOCK_COUNT] = l->sum / LEVEL_BLOCK;
    int known = l->blocks < BLOCK_COUNT ? l->blocks : BLOCK_COUNT;
    int place = known * LEVEL_SHARE / 100;
    memcpy(sorted, l->power, known * sizeof *sorted);
    qsort(sorted, known, sizeof *sorted, ascending);
    l->before = l->after;
    l->after = fmax(10 * log10(fmax(sorted[place < known ? place : known - 1], 1e-12)), LEVEL_LOWEST);
    l->sum = l->filled = 0;
}

static float gain_of(struct level *l, float sample) {
    double share = (l->filled + 1.0) / LEVEL_BLOCK;
    double decibels = l->before + share * (l->after - l->before);
    double above = high_pass(l, sample);
    l->sum += above * above;
    if (++l->filled == LEVEL_BLOCK) next_block(l);
    return (float)pow(10, (LEVEL_TARGET - decibels) / 20);
}

/* The enhancement at 16 kHz. */
struct core {
    struct level level;
    float heard[WINDOW], levels[2 * WINDOW]; /* the newest samples, and the gains of those not given yet */
    int filled, pending, skip;
    long frame;
    float sum[WINDOW], weight[WINDOW], upper[3];
    float spectrum[2][FREQUENCIES]; /* real and imaginary, of the frame before the newest */
    float frames[3][SIZE], units[4][2][LOW];
    float kept[BLOCKS][STEPS][KEPT][CHANNELS];
    float envelopes[STEPS][2][BINS];
    float x[STATE];
};

/* `features.phase` and `SpeechModel.observe`, as `frames.Frames._hear`. */
static void hear(struct core *c, const float *re, const float *im) {
    float power[FREQUENCIES], log_mel[BINS] = {0}, spread[FREQUENCIES] = {0};
    float(*units)[LOW] = c->units[3], *frame = c->frames[2];
    FOR(k, FREQUENCIES) {
        int from = k < EDGE ? k : 2 * EDGE - 1 - k; /* the slope of a resampling filter is not heard */
        power[k] = re[from] * re[from] + im[from] * im[from];
        if (k < LOW) {
            float scale = 1 / sqrtf(power[k] + FLOOR);
            units[0][k] = re[k] * scale, units[1][k] = im[k] * scale;
        }
    }
    product(log_mel, power, &model->filters[0][0], FREQUENCIES, BINS);
    FOR(b, BINS) {
        log_mel[b] = logf(log_mel[b] + FLOOR);
        frame[b] = (log_mel[b] - model->mean[b]) * model->scale[b];
    }
    product(spread, log_mel, &model->spread[0][0], BINS, FREQUENCIES);
    FOR(k, FREQUENCIES) frame[BINS + k] = 0.5f * (logf(power[k] + FLOOR) - spread[k]);
}

/* What the network is told of the frame before the newest: `features.phase`, `SlidingTDNN.observe`. */
static void observe(struct core *c, float *told) {
    static const int lags[3] = {2, 1, -1};
    float heard[HEARD], *next = heard + 3 * SIZE;
    memcpy(heard, c->frames, sizeof c->frames);
    FOR(l, 3) {
        float(*here)[LOW] = c->units[2], (*there)[LOW] = c->units[2 - lags[l]];
        FOR(k, LOW) { /* here * conj(there) * turn */
            float re = here[0][k] * there[0][k] + here[1][k] * there[1][k];
            float im = here[1][k] * there[0][k] - here[0][k] * there[1][k];
            next[k] = re * model->turns[l][0][k] - im * model->turns[l][1][k];
            next[LOW + k] = re * model->turns[l][1][k] + im * model->turns[l][0][k];
        }
        next += 2 * LOW;
    }
    memset(told, 0, CHANNELS * sizeof *told);
    product(told, heard, &model->observed[0][0], HEARD, CHANNELS);
}

/* Gradient of the energy of a frame: `frames.Frames._gradient`. */
static void gradient_of(struct core *c, int step, const float *told, float *gradient) {
    float hidden[CHANNELS], slopes[BLOCKS][HIDDEN], inside[HIDDEN], back_inside[HIDDEN], last[CHANNELS];
    float logits[CLASSES], down[CHANNELS], more[CHANNELS], total = 0;
    memcpy(hidden, told, sizeof hidden);
    FOR(i, CHANNELS) hidden[i] += model->enter_bias[i];
    product(hidden, &c->envelopes[step][0][0], &model->envelope[0][0], 2 * BINS, CHANNELS);
    product(hidden, c->x, &model->enter[0][0], STATE, CHANNELS);
    memcpy(c->envelopes[step][0], c->envelopes[step][1], BINS * sizeof(float));
    memcpy(c->envelopes[step][1], c->x, BINS * sizeof(float));
    FOR(b, BLOCKS) {
        float(*kept)[CHANNELS] = c->kept[b][step];
        const float *older = kept[(c->frame - 2 * dilations[b] + 2 * KEPT) % KEPT];
        const float *old = kept[(c->frame - dilations[b] + 2 * KEPT) % KEPT];
        memcpy(inside, model->widen_bias[b], sizeof inside);
        product(inside, older, &model->before[b][0][0], CHANNELS, HIDDEN);
        product(inside, old, &model->before[b][CHANNELS][0], CHANNELS, HIDDEN);
        product(inside, hidden, &model->now[b][0][0], CHANNELS, HIDDEN);
        memcpy(kept[c->frame % KEPT], hidden, sizeof hidden);
        silu(inside, slopes[b], HIDDEN);
        product(hidden, inside, &model->narrow[b][0][0], HIDDEN, CHANNELS);
        FOR(i, CHANNELS) hidden[i] += model->narrow_bias[b][i];
    }
    silu(hidden, last, CHANNELS);
    memcpy(logits, model->output_bias, sizeof logits);
    product(logits, hidden, &model->output[0][0], CHANNELS, CLASSES);
    float highest = logits[0];
    FOR(i, CLASSES) highest = fmaxf(highest, logits[i]);
    FOR(i, CLASSES) total += logits[i] = expf(logits[i] - highest);
    FOR(i, CLASSES) logits[i] /= -total;
    back(down, logits, &model->output[0][0], CHANNELS, CLASSES);
    FOR(i, CHANNELS) down[i] *= last[i];
    for (int b = BLOCKS - 1; b >= 0; b--) {
        back(back_inside, down, &model->narrow[b][0][0], HIDDEN, CHANNELS);
        FOR(i, HIDDEN) back_inside[i] *= slopes[b][i];
        back(more, back_inside, &model->now[b][0][0], CHANNELS, HIDDEN);
        FOR(i, CHANNELS) down[i] += more[i];
    }
    back(gradient, down, &model->enter[0][0], STATE, CHANNELS);
}

/* The steps of the frame before the newest: `frames.Frames._descend`. */
static void step_down(struct core *c) {
    float told[CHANNELS], gradient[STATE];
    observe(c, told);
    memset(c->x, 0, sizeof c->x);
    memcpy(c->x, c->frames[1], sizeof c->frames[1]);
    FOR(s, STEPS) {
        gradient_of(c, s, told, gradient);
        FOR(i, STATE) c->x[i] -= model->sizes[s][i] * gradient[i];
    }
}

/* Gain and turn of the spectrum, and back to samples: `frames.Frames._apply`, `_FrameByFrame._advance`. */
static void resynthesise(struct core *c, float strength) {
    float gain[FREQUENCIES] = {0}, mel[BINS], upper = 0;
    FOR(b, BINS) {
        float moved = model->half[b] * (c->x[b] - c->frames[1][b]);
        mel[b] = expf(fminf(fmaxf(moved, -12), 0));
    }
    product(gain, mel, &model->spread[0][0], BINS, FREQUENCIES);
    FOR(k, FREQUENCIES) {
        float moved = c->x[BINS + k] - c->frames[1][BINS + k];
        float g = fminf(gain[k] * expf(fminf(fmaxf(moved, -3), 3)), 1), turn = strength * c->x[SIZE + k];
        g = strength == 1 ? g : powf(g, strength);
        float re = g * cosf(turn), im = g * sinf(turn), *s[2] = {c->spectrum[0], c->spectrum[1]};
        float turned = s[0][k] * re - s[1][k] * im;
        s[1][k] = s[0][k] * im + s[1][k] * re;
        s[0][k] = turned;
        if (k >= FREQUENCIES / 2) upper += g;
    }
    c->upper[0] = c->upper[1], c->upper[1] = c->upper[2];
    c->upper[2] = upper / (FREQUENCIES - FREQUENCIES / 2);
    float samples[WINDOW] = {0};
    FOR(k, FREQUENCIES) { /* the inverse transform, windowed */
        const float *cosine = model->inverse[0][k], *sine = model->inverse[1][k];
        FOR(n, WINDOW) samples[n] += c->spectrum[0][k] * cosine[n] + c->spectrum[1][k] * sine[n];
    }
    FOR(n, WINDOW) c->sum[n] += samples[n], c->weight[n] += model->window[n] * model->window[n];
}

/* What is ready, and its gain for the band above: `_FrameByFrame._give`. */
static void give(struct core *c, struct queue *enhanced, struct queue *gain) {
    for (int n = c->skip; n < HOP; n++) {
        float place = 2 + (n - WINDOW / 2) / (float)HOP, share = place - floorf(place);
        int frame = (int)place;
        put(enhanced, c->sum[n] / fmaxf(c->weight[n], 1e-8f) / c->levels[n - c->skip]);
        put(gain, (1 - share) * c->upper[frame] + share * c->upper[frame + 1 < 3 ? frame + 1 : 2]);
    }
    int given = c->skip < HOP ? HOP - c->skip : 0;
    c->pending -= given;
    memmove(c->levels, c->levels + given, c->pending * sizeof(float));
    memmove(c->sum, c->sum + HOP, (WINDOW - HOP) * sizeof(float));
    memmove(c->weight, c->weight + HOP, (WINDOW - HOP) * sizeof(float));
    memset(c->sum + WINDOW - HOP, 0, HOP * sizeof(float));
    memset(c->weight + WINDOW - HOP, 0, HOP * sizeof(float));
    c->skip = c->skip > HOP ? c->skip - HOP : 0;
}

/* Hear a frame, and enhance the one before it. */
static void advance(struct core *c, float strength, struct queue *enhanced, struct queue *gain) {
    float re[FREQUENCIES] = {0}, im[FREQUENCIES] = {0};
    FOR(n, WINDOW) { /* the transform of the windowed samples */
        const float *cosine = model->forward[0][n], *sine = model->forward[1][n], sample = c->heard[n];
        FOR(k, FREQUENCIES) re[k] += sample * cosine[k], im[k] += sample * sine[k];
    }
    memmove(c->frames[0], c->frames[1], 2 * sizeof c->frames[0]);
    memmove(c->units[0], c->units[1], 3 * sizeof c->units[0]);
    hear(c, re, im);
    if (c->frame > 0) {
        step_down(c);
        resynthesise(c, strength);
        give(c, enhanced, gain);
    }
    c->frame++;
    memcpy(c->spectrum[0], re, sizeof re);
    memcpy(c->spectrum[1], im, sizeof im);
}

static void core_begin(struct core *c) {
    memset(c, 0, sizeof *c);
    c->level.before = c->level.after = LEVEL_USUAL;
    FOR(i, 3) c->upper[i] = 1;
    c->filled = c->skip = WINDOW / 2; /* the first frame is centred on the first sample */
}

static void core_push(struct core *c, float s, float strength, struct queue *enhanced, struct queue *gain) {
    float level = gain_of(&c->level, s);
    c->levels[c->pending++] = level;
    c->heard[c->filled++] = s * level;
    if (c->filled == WINDOW) {
        advance(c, strength, enhanced, gain);
        memmove(c->heard, c->heard + HOP, (WINDOW - HOP) * sizeof(float));
        c->filled -= HOP;
    }
}

/* A rate becomes another: `audio.resampling.ShortResampler`. */
struct bank {
    int up, down, side, width;
    float *taps; /* shape (up, width) */
};

struct resampler {
    const struct bank *bank;
    float *kept; /* of size `side + width + LONGEST` */
    int filled, centre, phase;
};

static double bessel(double x) { /* I0, by its power series */
    double sum = 1, term = 1;
    for (int k = 1; k < 40; k++) sum += term *= (x / (2 * k)) * (x / (2 * k));
    return sum;
}

static int bank_begin(struct bank *b, int source, int target) {
    int shared = source, rest = target, low = source < target ? source : target;
    while (rest) {
        int next = shared % rest;
        shared = rest, rest = next;
    }
    b->up = target / shared, b->down = source / shared;
    b->side = (CROSSINGS * source + low - 1) / low;
    b->width = 2 * b->side + 1;
    b->taps = calloc((size_t)b->up * b->width, sizeof(float));
    if (!b->taps) return 0;
    FOR(phase, b->up) {
        float *taps = b->taps + (size_t)phase * b->width;
        double sum = 0;
        FOR(pass, 2) FOR(j, b->width) {
            double time = (double)((j - b->side) * b->up - phase) / b->up * low / source;
            double inside = 1 - time * time / CROSSINGS / CROSSINGS, x = M_PI * CUTOFF * time;
            if ((j - b->side) * b->up - phase < -b->side * b->up) continue;
            double tap = (time == 0 ? 1 : sin(x) / x) * bessel(BETA * sqrt(fmax(inside, 0)));
            if (pass == 0) sum += tap; /* a constant stays what it is */
            else taps[j] = tap / sum;
        }
    }
    return 1;
}

static int resampler_begin(struct resampler *r, const struct bank *b) {
    r->bank = b;
    r->filled = r->centre = b->side;
    r->phase = 0;
    if (!r->kept) r->kept = malloc((b->side + b->width + LONGEST) * sizeof(float));
    if (r->kept) memset(r->kept, 0, b->side * sizeof(float));
    return r->kept != NULL;
}

static void resample(struct resampler *r, float sample, struct queue *out) {
    const struct bank *b = r->bank;
    if (r->filled == b->side + b->width + LONGEST) {
        int first = r->centre - b->side;
        memmove(r->kept, r->kept + first, (r->filled - first) * sizeof(float));
        r->filled -= first, r->centre -= first;
    }
    r->kept[r->filled++] = sample;
    while (r->centre + b->side < r->filled) {
        const float *taps = b->taps + (size_t)r->phase * b->width, *heard = r->kept + r->centre - b->side;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < b->width; j++) sum += taps[j] * heard[j];
        put(out, sum);
        r->phase += b->down;
        r->centre += r->phase / b->up, r->phase %= b->up;
    }
}

/* The plugin: any rate, as `audio.bands.AnyRate`, and a constant delay. */
enum { IN, OUT, STRENGTH, LATENCY, PORTS };

struct plugin {
    LADSPA_Data *port[PORTS];
    int rate;
    struct bank downwards, upwards;
    struct resampler down, up[3];
    struct core core;
    struct queue out, original, inner, plain, enhanced, gain, outer[3];
    unsigned delay;
};

/* The enhanced band at the host's rate, plus what 16 kHz cannot hold: `AnyRate._add_bands`. */
static void add_bands(struct plugin *p) {
    while (length(&p->enhanced)) {
        resample(&p->up[0], take(&p->enhanced), &p->outer[0]);
        resample(&p->up[1], take(&p->plain), &p->outer[1]);
        resample(&p->up[2], 1 - take(&p->gain), &p->outer[2]);
    }
    while (length(&p->outer[0])) {
        float enhanced = take(&p->outer[0]), plain = take(&p->outer[1]);
        float attenuation = fminf(fmaxf(take(&p->outer[2]), 0), 1);
        put(&p->out, enhanced + (take(&p->original) - plain) * (1 - attenuation));
    }
}

/* A sample of the host: what is ready goes to `out`. */
static void enhance(struct plugin *p, float sample, float strength) {
    if (p->rate == RATE) {
        core_push(&p->core, sample, strength, &p->out, &p->gain);
        p->gain.first = p->gain.last;
        return;
    }
    put(&p->original, sample);
    resample(&p->down, sample, &p->inner);
    while (length(&p->inner)) {
        float inner = take(&p->inner);
        put(&p->plain, inner);
        core_push(&p->core, inner, strength, &p->enhanced, &p->gain);
    }
    add_bands(p);
}

static int resamplers_begin(struct plugin *p) {
    int made = resampler_begin(&p->down, &p->downwards);
    FOR(s, 3) made = resampler_begin(&p->up[s], &p->upwards) && made;
    return made;
}

static void begin(struct plugin *p) {
    struct queue *all[] = {&p->out, &p->original, &p->inner, &p->plain, &p->enhanced, &p->gain,
                           &p->outer[0], &p->outer[1], &p->outer[2]};
    FOR(q, (int)(sizeof all / sizeof *all)) all[q]->first = all[q]->last = 0;
    core_begin(&p->core);
    resamplers_begin(p);
    FOR(i, (int)p->delay) put(&p->out, 0);
}

/* The longest that a sample is kept back in the first second, in samples: that of all times. */
static unsigned longest_delay(struct plugin *p) {
    unsigned longest = 0;
    begin(p);
    FOR(heard, p->rate) {
        enhance(p, 0, 1);
        unsigned late = heard + 1 - p->out.last;
        longest = late > longest ? late : longest;
    }
    return longest;
}

static void cleanup(LADSPA_Handle handle) {
    struct plugin *p = handle;
    if (!p) return;
    free(p->downwards.taps);
    free(p->upwards.taps);
    free(p->down.kept);
    FOR(s, 3) free(p->up[s].kept);
    free(p);
}

static LADSPA_Handle instantiate(const LADSPA_Descriptor *descriptor, unsigned long rate) {
    (void)descriptor;
    struct plugin *p = rate < 8000 || rate > 384000 ? NULL : calloc(1, sizeof *p);
    if (!p) return NULL;
    p->rate = rate;
    if (!bank_begin(&p->downwards, rate, RATE) || !bank_begin(&p->upwards, RATE, rate) || !resamplers_begin(p)) {
        cleanup(p);
        return NULL;
    }
    p->delay = longest_delay(p);
    return p;
}

static void connect(LADSPA_Handle handle, unsigned long port, LADSPA_Data *data) {
    ((struct plugin *)handle)->port[port] = data;
}

static void activate(LADSPA_Handle handle) { begin(handle); }

static void run(LADSPA_Handle handle, unsigned long count) {
    struct plugin *p = handle;
    float wanted = p->port[STRENGTH] ? *p->port[STRENGTH] : 1, strength = fminf(fmaxf(wanted, 0), 1);
    for (unsigned long i = 0; i < count; i++) {
        float sample = p->port[IN][i];
        enhance(p, isfinite(sample) ? sample : 0, strength); /* a NaN would stay in the state */
        p->port[OUT][i] = take(&p->out);
    }
    if (p->port[LATENCY]) *p->port[LATENCY] = p->delay;
}

static const LADSPA_PortDescriptor ports[PORTS] = {
    LADSPA_PORT_INPUT | LADSPA_PORT_AUDIO,
    LADSPA_PORT_OUTPUT | LADSPA_PORT_AUDIO,
    LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL,
    LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL,
};
static const char *const names[PORTS] = {"Input", "Output", "Strength", "latency"};
static const LADSPA_PortRangeHint hints[PORTS] = {
    {0, 0, 0},
    {0, 0, 0},
    {LADSPA_HINT_BOUNDED_BELOW | LADSPA_HINT_BOUNDED_ABOVE | LADSPA_HINT_DEFAULT_1, 0, 1},
    {0, 0, 0},
};
static const LADSPA_Descriptor plugin = {
    .UniqueID = 0x534a45, /* no registry is kept any more; hosts find the plugin by its label */
    .Label = "speechjem",
    .Properties = LADSPA_PROPERTY_HARD_RT_CAPABLE,
    .Name = "speechjem: speech without noise",
    .Maker = "speechjem",
    .Copyright = "Apache-2.0; weights CC BY 4.0",
    .PortCount = PORTS,
    .PortDescriptors = ports,
    .PortNames = names,
    .PortRangeHints = hints,
    .instantiate = instantiate,
    .connect_port = connect,
    .activate = activate,
    .run = run,
    .cleanup = cleanup,
};

const LADSPA_Descriptor *ladspa_descriptor(unsigned long index) { return index == 0 ? &plugin : NULL; }
