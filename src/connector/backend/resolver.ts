import { BoundedMap } from "./bounded_map.ts";
import { defaultLookup, type Lookup } from "./dial.ts";

/** A lookup that takes longer is slow: its name server does not answer. Milliseconds. */
const SLOW_MS = 1_000;
/** For so long a slow failure is the answer for its name, in milliseconds. */
const REMEMBER_MS = 5_000;
/** Names that something is remembered of. */
const MOST_NAMES = 4_096;
/** Threads of Node where `UV_THREADPOOL_SIZE` says nothing. */
const NODE_THREADS = 4;
/** Lookups that may be asked for elsewhere in this program: of the broker. */
const SPARE_LOOKUPS = 2;

/** How many lookups may run at a time. */
export interface ResolverLimits {
  /** In all. */
  most: number;
  /** Of names that were not answered quickly the last time, or never asked for. */
  mostUnproven: number;
}

/**
 * Each lookup of the system's resolver holds a thread until the name server answers, up to half a minute, and nothing takes it
 * back. Node gives lookups half of its threads, so here are as many as then run at once, some left for others.
 */
export function resolverLimits(threads: string | undefined): ResolverLimits {
  const known = /^[1-9][0-9]{0,3}$/.test(threads ?? "") ? Number(threads) : NODE_THREADS;
  const most = Math.max(2, Math.ceil(known / 2) - SPARE_LOOKUPS);
  return { most, mostUnproven: Math.floor(most / 2) };
}

type Told = Parameters<Lookup>[2];
type Addresses = Parameters<Told>[1];

/** A name that is asked for, by all who wait for it. */
interface Question {
  name: string;
  /** It was answered quickly the last time. */
  isProven: boolean;
  isAsked: boolean;
  waiters: Set<Told>;
}

/**
 * Looks names up so that those which are not answered leave the others their turn: one lookup at a time for each name, shared
 * by all who ask; a share of all lookups for names that may not be answered; a failure that took long is remembered for a moment.
 */
export class Resolver {
  readonly #ask: Lookup;
  readonly #limits: ResolverLimits;
  readonly #now: () => number;
  /** Asked or waiting for their turn. */
  readonly #questions = new Map<string, Question>();
  readonly #waitingProven = new Set<Question>();
  readonly #waitingUnproven = new Set<Question>();
  readonly #proven = new BoundedMap<string, true>(MOST_NAMES);
  readonly #failed = new BoundedMap<string, { error: Error; until: number }>(MOST_NAMES);
  #running = 0;
  #runningUnproven = 0;

  /** `ask`: the way to the system; `now`: milliseconds of a clock that is never set. */
  constructor(ask: Lookup, limits: ResolverLimits, now: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#limits = limits;
    this.#now = now;
  }

  /** As `Lookup` says; the function it gives leaves the queue. `told` is never called before it has returned. */
  readonly lookup = (name: string, _options: { all: true }, told: Told): () => void => {
    const failed = this.#failed.get(name);
    if (failed !== undefined && this.#now() < failed.until) {
      let isLeft = false;
      queueMicrotask(() => isLeft || told(failed.error, []));
      return () => void (isLeft = true);
    }
    const question = this.#questions.get(name) ?? this.#newQuestion(name);
    // One of its own: the same function may be given twice.
    const waiter: Told = (error, addresses) => told(error, addresses);
    question.waiters.add(waiter);
    return () => this.#leave(question, waiter);
  };

  #newQuestion(name: string): Question {
    const isProven = this.#proven.has(name);
    const question: Question = { name, isProven, isAsked: false, waiters: new Set() };
    this.#questions.set(name, question);
    this.#queueOf(question).add(question);
    queueMicrotask(this.#start);
    return question;
  }

  #queueOf(question: Question): Set<Question> {
    return question.isProven ? this.#waitingProven : this.#waitingUnproven;
  }

  #leave(question: Question, waiter: Told): void {
    question.waiters.delete(waiter);
    if (question.isAsked || question.waiters.size > 0) return;
    this.#queueOf(question).delete(question);
    this.#questions.delete(question.name);
  }

  readonly #start = (): void => {
    const { most, mostUnproven } = this.#limits;
    for (const question of this.#waitingProven) {
      if (this.#running >= most) return;
      this.#send(question);
    }
    for (const question of this.#waitingUnproven) {
      if (this.#running >= most || this.#runningUnproven >= mostUnproven) return;
      this.#send(question);
    }
  };

  #send(question: Question): void {
    this.#queueOf(question).delete(question);
    question.isAsked = true;
    this.#running++;
    if (!question.isProven) this.#runningUnproven++;
    const since = this.#now();
    const told: Told = (error, addresses) => {
      this.#answered(question, this.#now() - since > SLOW_MS, error, addresses);
    };
    try {
      this.#ask(question.name, { all: true }, told);
    } catch (error) {
      told(error as Error, []); // A name that cannot be asked for.
    }
  }

  #answered(question: Question, isSlow: boolean, error: Error | null, addresses: Addresses): void {
    const { name, waiters } = question;
    this.#running--;
    if (!question.isProven) this.#runningUnproven--;
    this.#questions.delete(name);
    if (isSlow) this.#proven.delete(name);
    else this.#proven.set(name, true);
    if (isSlow && error !== null) this.#failed.set(name, { error, until: this.#now() + REMEMBER_MS });
    else this.#failed.delete(name);
    this.#start();
    for (const waiter of waiters) waiter(error, addresses);
  }
}

/** A resolver over the system's, for all backends of a process. */
export function systemResolver(): Resolver {
  return new Resolver(defaultLookup, resolverLimits(process.env.UV_THREADPOOL_SIZE));
}
