mod importing;
