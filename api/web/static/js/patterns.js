// Texts that are filled from events: "{progress.units.done|count} of {progress.units.total|count}". What stands after the
// bar says things as the filter of that name does in the server's templates (api/web/filters.py).

import { figure, grouped } from "./figures.js";

const at = (data, path) => path.split(".").reduce((found, name) => found?.[name], data);

// The sum of the numbers at several paths: "progress.units.done+progress.units.failed".
export const sum = (data, paths) => paths.split("+").reduce((total, path) => total + (at(data, path) ?? 0), 0);

const duration = (seconds) => {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const UNITS = [["s", 1, 100], ["min", 60, 100 * 60], ["h", 3600, 48 * 3600], ["days", 86400, Infinity]];

const filters = {
  count: (number) => grouped(number ?? 0),
  figure: (value) => (value == null ? "–" : figure(value)),
  phase: (progress) => progress?.phase ?? "waits for its turn",
  before: (queue) => (queue ? filters.count(queue.ahead_units) : "none"),
  looked: (look) =>
    look ? `A worker first looks at the network: ${filters.count(look.seen)} of ${filters.count(look.codes)} pictures seen.` : "",
  time_left: ({ eta_seconds: likely, eta_range: between }) => {
    if (likely == null) return "not known yet";
    const { low, high } = between ?? { low: likely, high: likely };
    if (Math.round(high) === 0) return "a moment";
    if (high <= 1.7 * low || Math.round(high) <= 1) return `about ${duration(likely)}`;
    const [unit, size] = UNITS.find(([, , most]) => high < most);
    const least = Math.floor(low / size);
    const most = Math.ceil(high / size);
    return least ? `${least} to ${most} ${unit}` : `up to ${most} ${unit}`;
  },
};

export const filled = (pattern, data) =>
  pattern.replace(/\{([\w.]+)(?:\|(\w+))?\}/g, (_, path, filter) => {
    const value = at(data, path);
    return filter ? filters[filter](value) : String(value ?? "");
  });
