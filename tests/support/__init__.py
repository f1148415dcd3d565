"""What tests of more than one folder share: waiting, processes, clusters. It must not know what a ConfigMapSync is."""
