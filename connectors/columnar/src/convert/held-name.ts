/** The field's name with U+FFFD for what no name of a column, and not every engine's JSON, can hold: NUL, and halves of surrogate pairs. */
export const heldName = (field: string): string => field.replace(unheld, '\ufffd');

const unheld = /\0|\p{Surrogate}/gu;
