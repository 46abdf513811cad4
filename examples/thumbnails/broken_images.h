// Image files that are out to do harm, for the demonstration and for tests.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_BROKEN_IMAGES_H_
#define PLAIT_EXAMPLES_THUMBNAILS_BROKEN_IMAGES_H_

#include <string>

namespace examples {

// Decompression bombs: small files that say they are 60,000 by 60,000 pixels, gigabytes of them.
std::string PngBomb();
std::string JpegBomb();

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_BROKEN_IMAGES_H_
