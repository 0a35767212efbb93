"""Does the measure predict the attack? Experiments on real images, and the document of them."""
