// Numbers as the server's templates say them (`figure` in api/web/filters.py): three digits that matter, whole numbers
// where they are large, and about nothing where their digits tell nothing.

export function figure(value) {
  const size = Math.abs(value);
  if (size < 1e-4) return size ? "≈\u00a00" : "0";
  return size < 999.5 ? value.toPrecision(3) : grouped(Math.round(value));
}

// With thin spaces between thousands: `count` of the server.
export const grouped = (whole) => String(whole).replace(/\B(?=(\d{3})+$)/g, "\u202f");
