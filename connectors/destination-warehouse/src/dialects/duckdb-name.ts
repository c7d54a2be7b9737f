/**
 * The file is attached under this name, whatever its own is: `shop.db` with a schema `shop` would make `shop.orders` ambiguous.
 * Every table is written with it, so that schemas called `main`, `temp` or `system` are schemas like any other.
 */
export const catalogName = '_tapline_file';
