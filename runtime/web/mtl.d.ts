/** Models of mtl in the browser and in Node.js. */

/** An error in the input of a user. */
export class MtlError extends Error {}

/** A file that is not a whole bundle, or one that this version cannot read or run. */
export class BundleError extends Error {}

/** A raw text, or a list of words; for tasks that compare sentences, two of them. */
export type Text = string | string[];
export type Item = Text | [Text, Text];

export interface Options {
  /** The tasks; by default all but those whose labels are derived from the text. */
  tasks?: string[];
  /** Whether to compute the probabilities of labels. */
  confidence?: boolean;
  /** The unit of text that the tasks read; by default as they were trained. */
  unit?: "sentence" | "record";
  /** Whether there is one prediction per sentence instead of one per text. */
  splitSentences?: boolean;
  /** The number of texts that are labelled at once. */
  chunkSize?: number;
  /** Answers whose confidence is below this probability are null. */
  abstain?: number;
}

export interface TaskDescription {
  form: "label" | "set" | "number" | "distribution";
  level: "token" | "sentence";
  labels: string[];
  /** Whether the labels are tags of spans. */
  spans: boolean;
  /** Whether the task reads each sentence of a text by itself, or the whole text. */
  unit: "sentence" | "record";
  /** Whether the task compares two sentences. */
  pairs: boolean;
}

/** A label, a sorted list of labels, a number, or the probability of each label; null where the model is not sure. */
export type Value = string | string[] | number | Record<string, number> | null;

/** The probability of a label, or of each label of a set. */
export type Confidence = number | Record<string, number>;

export interface TextSpan {
  type: string;
  /** The first token and the token after the last one. */
  tokens: [number, number];
  text: string;
  /** Its place in the input, in UTF-16 units; absent if the input was words. */
  start?: number;
  end?: number;
  /** The joint probability of its tags, if requested. */
  confidence?: number;
}

/** The predictions of several tasks for one text. */
export class Prediction {
  private constructor();
  readonly tokens: string[];
  /** The words of the second sentence of a pair, else null. */
  readonly tokensB: string[] | null;
  readonly text: string | null;
  /** Start and end of each word in the input, in UTF-16 units. */
  readonly offsets: [number, number][];
  /** Task to the value of the sentence, or to a list with one value per token. */
  readonly labels: Record<string, Value | Value[]>;
  readonly confidence: Record<string, Confidence | Confidence[]>;
  readonly spans: Record<string, TextSpan[]>;
  /** Whether the sentence has no label: it has no words, or the model is not sure. */
  lacksLabel(task: string): boolean;
  /** The record that `mtl predict` writes as JSON. */
  toJSON(): Record<string, unknown>;
}

/** A model, ready to use. */
export class Model {
  private constructor();
  readonly tasks: string[];
  describe(task: string): TaskDescription;
  /** Return the named tasks; by default all whose labels are not derived from the text. */
  select(tasks?: string[]): string[];
  /** Return the labels of texts: task to one item per text. */
  predict(sentences: Iterable<Item>, options?: Options): Record<string, (Value | Value[])[]>;
  /** Return an iterator over predictions, one per text. Texts are read and labelled chunk by chunk. */
  annotate(sentences: Iterable<Item>, options?: Options): Generator<Prediction>;
  /** Return the labels of a task, and per text (classifiers) or per token of a text (taggers) their probabilities. */
  probabilities(
    sentences: Iterable<Item>,
    task?: string,
  ): { labels: string[]; probabilities: number[][] | number[][][] };
}

/** Load a model from the address or the bytes of a bundle. */
export function load(source: string | URL | ArrayBuffer | Uint8Array | Blob): Promise<Model>;

/** Return the words of a text with their places. */
export function tokenize(text: string): { text: string; start: number; end: number }[];

/** Return the start and end of each sentence of a text. */
export function splitSentences(text: string): [number, number][];
