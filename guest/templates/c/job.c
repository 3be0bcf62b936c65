#include "inos.h"

/* Counts the words of the input. */
INOS_RUN {
  static uint8_t buffer[65536];
  uint32_t words = 0, offset = 0;
  int inside = 0;
  for (int32_t count; (count = inos_input_read(buffer, offset, sizeof buffer)) > 0; offset += count) {
    for (int32_t i = 0; i < count; i++) {
      int blank = buffer[i] == ' ' || (buffer[i] >= '\t' && buffer[i] <= '\r');
      if (!blank && !inside) words++;
      inside = !blank;
    }
  }

  char digits[11];
  int at = sizeof digits;
  digits[--at] = '\n';
  do digits[--at] = '0' + words % 10; while ((words /= 10) > 0);
  inos_output_write(digits + at, sizeof digits - at);
  return 0;
}
