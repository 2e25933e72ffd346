/** What the admin listener needs of the metrics: the text that Prometheus reads. */
export interface Metrics {
  /** Media type of {@linkcode Metrics.render}. */
  readonly contentType: string;
  /** All metrics as they are now. */
  render(): Promise<string>;
}
