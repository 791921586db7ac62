/** Who has which bench, and when. */
export interface Booking {
  bench: string;
  member: string;
  from: Date;
  to: Date;
}

/** Two bookings collide when they want the same bench at overlapping times. */
export function collide(a: Booking, b: Booking): boolean {
  return a.bench === b.bench && a.from < b.to && b.from < a.to;
}

/** Adds a booking, or says who is in the way. */
export function book(all: Booking[], wanted: Booking): Booking[] {
  const inTheWay = all.find((other) => collide(other, wanted));
  if (inTheWay) {
    throw new Error(`${wanted.bench} is taken by ${inTheWay.member}`);
  }
  return [...all, wanted];
}
