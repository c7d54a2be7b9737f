/** What a scenario found, in the order in which it is printed. */
export type Figures = Readonly<Record<string, string>>;
